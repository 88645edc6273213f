# SPDX-License-Identifier: GPL-2.0-only
# Draw what a terminal shows as an SVG; make docs/run.svg does so with the start of make run.
{
	gsub(/&/, "\\&amp;"); gsub(/</, "\\&lt;"); gsub(/>/, "\\&gt;")
	text = text sprintf("<text x=\"12\" y=\"%d\"%s>%s</text>\n", 10 + 15 * NR, /^\$ / ? " class=\"typed\"" : "", $0)
}
END {
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 634 %d\" width=\"634\">\n", 22 + 15 * NR
	print "<style>text { font: 11px monospace; white-space: pre; fill: #d8dee9 } .typed { fill: #a3d977; font-weight: bold }</style>"
	print "<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#20242c\"/>"
	printf "%s</svg>\n", text
}
