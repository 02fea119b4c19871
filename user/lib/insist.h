/* SPDX-License-Identifier: MIT */
/* Checks for programs that print nothing but failures: the first check that fails ends the program. */
#ifndef USER_INSIST_H
#define USER_INSIST_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #cond, strerror(errno));                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)
#define FAILS(call, error) CHECK((call) < 0 && errno == (error))

#endif
