/* SPDX-License-Identifier: MIT */
/* The C string functions that the kernel uses; the compiler may also call the mem* ones by itself. */
#ifndef KERNEL_STRING_H
#define KERNEL_STRING_H

#if __STDC_HOSTED__
#include <string.h>
#else
#include "kernel/lib/base.h"
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *haystack, const char *needle);
#endif

#endif
