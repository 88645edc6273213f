# SPDX-License-Identifier: GPL-2.0-only
#
# Join the TAP of several builds into one, with the build's name in each case.
# A build that dies before its plan is a failed case.

function end_of_build() {
	if (build && !planned)
		print "not ok " ++cases " - " build ": ended early"
	if (build && !planned)
		failed++
}

/^# build / {
	end_of_build()
	build = $3
	planned = 0
	next
}

/^(not )?ok [0-9]+/ {
	failed += $1 == "not"
	sub(/ok [0-9]+ - /, "ok " ++cases " - " build ": ")
	seen[build]++
}

/^1\.\./ {
	planned = $0 == "1.." seen[build]
	next
}

/^TAP version/ && cases { next }

{ print }

END {
	end_of_build()
	print "1.." cases + 0
	exit !cases || failed > 0
}
