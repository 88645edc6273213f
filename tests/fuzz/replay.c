// SPDX-License-Identifier: GPL-2.0-only
/* Run a fuzzer's inputs without the fuzzer, built by another compiler, for coverage. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
	static uint8_t data[1 << 16];
	FILE *file;
	size_t size;

	for (int i = 1; i < argc; i++) {
		file = fopen(argv[i], "rb");
		if (!file) {
			perror(argv[i]);
			return 1;
		}
		size = fread(data, 1, sizeof(data), file);
		fclose(file);

		LLVMFuzzerTestOneInput(data, size);
	}

	printf("%d inputs\n", argc - 1);
	return 0;
}
