/* SPDX-License-Identifier: MIT */
/*
 * Tests malformed, truncated and hostile ELF files.
 *
 * Each file is a small valid program with something spoiled. The test prints what execve answered or, if the program
 * was executed, how it ended. Linux notices many faults only after the point of no return, and kills the process. A
 * kernel that checks first returns ENOEXEC. Both are printed as "refused".
 */
#include "user/lib/check.h"

#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define PATH "./hostile-elf" /* in a directory of our own */
#define BASE 0x10000000UL

/* The whole file: headers, then code that does exit_group(42). */
struct image {
	Elf64_Ehdr header;
	Elf64_Phdr segment[3];
	unsigned char code[16];
};

static const unsigned char exit_42[] = { 0xbf, 42, 0, 0, 0, 0xb8, 231, 0, 0, 0, 0x0f, 0x05 };

static struct image valid(void)
{
	struct image image = {
		.header = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = BASE + offsetof(struct image, code),
			.e_phoff = offsetof(struct image, segment),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1,
		},
		.segment[0] = {
			.p_type = PT_LOAD,
			.p_flags = PF_R | PF_X,
			.p_vaddr = BASE,
			.p_filesz = sizeof(struct image),
			.p_memsz = sizeof(struct image),
			.p_align = PAGE,
		},
	};

	memcpy(image.code, exit_42, sizeof(exit_42));
	return image;
}

static void write_file(const void *data, size_t size)
{
	int fd;

	/* A new file: the old one cannot be written (ETXTBSY) while another process still inspects its process. */
	unlink(PATH);
	fd = open(PATH, O_CREAT | O_EXCL | O_WRONLY, 0755);
	MUST(fd >= 0);
	MUST(write(fd, data, size) == (ssize_t)size);
	MUST(close(fd) == 0);
}

static int execute(void *arg)
{
	char *argv[] = { PATH, NULL }, *env[] = { NULL };

	(void)arg;
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	alarm(60); /* in case it does not end */
	execve(PATH, argv, env);
	return 100 + errno; /* errno of execve is below 42 for all that happens here */
}

/* Executes the file, and prints what happened. */
static void report(const char *what, const void *data, size_t size)
{
	int status;

	write_file(data, size);
	status = run_child(execute, NULL);
	if (exited_with(status, 100 + ENOEXEC) || exited_with(status, 100 + ELIBBAD) ||
	    exited_with(status, 100 + ENOENT) || killed_by(status, SIGSEGV) || killed_by(status, SIGBUS))
		printf("%s: refused\n", what);
	else if (WIFEXITED(status) && WEXITSTATUS(status) >= 100)
		printf("%s: %s\n", what, strerror(WEXITSTATUS(status) - 100));
	else
		print_status(what, status);
	fflush(stdout);
}

#define SPOILED(what, ...)                                                                                             \
	do {                                                                                                           \
		struct image image = valid();                                                                          \
		Elf64_Ehdr *h = &image.header;                                                                         \
		Elf64_Phdr *s = image.segment;                                                                         \
		(void)h, (void)s;                                                                                      \
		__VA_ARGS__;                                                                                           \
		report(what, &image, sizeof(image));                                                                   \
	} while (0)

static void headers(void)
{
	section("headers");
	SPOILED("nothing spoiled", (void)0);
	SPOILED("wrong magic", h->e_ident[1] = 'X');
	SPOILED("32-bit machine", h->e_machine = EM_386);
	SPOILED("another machine", h->e_machine = EM_AARCH64);
	SPOILED("relocatable file", h->e_type = ET_REL);
	SPOILED("core file", h->e_type = ET_CORE);
	SPOILED("type 0", h->e_type = 0);
	SPOILED("wrong size of program headers", h->e_phentsize = 32);
	SPOILED("program header size 0", h->e_phentsize = 0);
	SPOILED("no program headers", h->e_phnum = 0);
	SPOILED("65535 program headers", h->e_phnum = 65535);
	SPOILED("2000 program headers, not there", h->e_phnum = 2000);
	SPOILED("program headers beyond the file", h->e_phoff = 1 << 20);
	SPOILED("program headers at the end of numbers", h->e_phoff = -8UL);
	SPOILED("program headers at 2^63", h->e_phoff = 1UL << 63);
}

static void lengths(void)
{
	struct image image = valid();

	section("truncated files");
	report("empty", "", 0);
	report("one byte", "\x7f", 1);
	report("magic only", ELFMAG, SELFMAG);
	report("half a header", &image, sizeof(Elf64_Ehdr) / 2);
	report("header only", &image, sizeof(Elf64_Ehdr));
	report("half a program header", &image, sizeof(Elf64_Ehdr) + 20);
	report("code cut off", &image, offsetof(struct image, code));
	report("text", "not a program at all\n", 21);
}

static void segments(void)
{
	section("segments");
	SPOILED("no PT_LOAD", s->p_type = PT_NOTE);
	SPOILED("file size above memory size", s->p_filesz = 2 * PAGE);
	SPOILED("address and offset disagree", s->p_vaddr += 8);
	SPOILED("address beyond the user half", s->p_vaddr = 0x7fffffffffffUL & -PAGE; s->p_memsz = 4 * PAGE);
	SPOILED("kernel address", s->p_vaddr = 0xffffffff80000000);
	SPOILED("non-canonical address", s->p_vaddr = 1UL << 62);
	SPOILED("memory size 2^47", s->p_memsz = 1UL << 47);
	SPOILED("memory size 2^64 - 1", s->p_memsz = -1UL);
	SPOILED("file size 2^63", s->p_filesz = s->p_memsz = 1UL << 63);
	SPOILED("offset beyond the file", s->p_offset = 1 << 20);
	SPOILED("offset 2^64 - page", s->p_offset = -PAGE);
	SPOILED("a second segment over the first", h->e_phnum = 2; s[1] = s[0]; s[1].p_flags = PF_R);
	SPOILED("a second segment of size 0", h->e_phnum = 2; s[1] = s[0]; s[1].p_vaddr += PAGE;
		s[1].p_filesz = s[1].p_memsz = 0);
	SPOILED("not executable", s->p_flags = PF_R);
	SPOILED("no rights", s->p_flags = 0);
	SPOILED("alignment 3", s->p_align = 3);
	SPOILED("alignment 0", s->p_align = 0);
	SPOILED("bss behind a read-only segment", s->p_memsz = s->p_filesz + 100);
	SPOILED("bss of a page behind it", s->p_memsz = s->p_filesz + 2 * PAGE);
}

static void entries(void)
{
	section("entry and interpreter");
	SPOILED("entry 0", h->e_entry = 0);
	SPOILED("entry in nowhere", h->e_entry = 0x700000000000);
	SPOILED("entry in the kernel", h->e_entry = 0xffffffff80000000);
	SPOILED("entry not canonical", h->e_entry = 1UL << 62);
	SPOILED("interpreter empty", h->e_phnum = 2;
		s[1] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = offsetof(struct image, code), .p_filesz = 6 };
		memcpy(image.code, "/none", 6));
	SPOILED("interpreter's name without an end", h->e_phnum = 2;
		s[1] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = 0, .p_filesz = 8 });
	SPOILED("interpreter's name of 2 GiB", h->e_phnum = 2;
		s[1] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = 0, .p_filesz = 1U << 31 });
	SPOILED("interpreter's name empty", h->e_phnum = 2; s[1] = (Elf64_Phdr){ .p_type = PT_INTERP });
}

static void files(void)
{
	struct image image = valid();

	section("files");
	write_file(&image, sizeof(image));
	MUST(chmod(PATH, 0644) == 0);
	print_status("without the right to execute", run_child(execute, NULL));
	unlink(PATH);
	print_status("missing", run_child(execute, NULL));
	MUST(mkdir(PATH, 0755) == 0);
	print_status("a directory", run_child(execute, NULL));
	rmdir(PATH);
}

/* Changes three random bytes in the headers of a valid file, two hundred times. Only the child may suffer. */
static void random_damage(void)
{
	uint32_t state = 4711;
	int ended = 0;

	section("random damage");
	for (int round = 0; round < 200; round++) {
		struct image image = valid();

		for (int i = 0; i < 3; i++) {
			state = state * 1664525 + 1013904223;
			((unsigned char *)&image)[(state >> 8) % offsetof(struct image, code)] = state >> 24;
		}
		write_file(&image, sizeof(image));
		run_child(execute, NULL);
		ended++;
	}
	CHECK_EQ(ended, 200);
	unlink(PATH);
}

int main(void)
{
	char dir[] = "/tmp/hostile-elf-XXXXXX";

	MUST(mkdtemp(dir) && chdir(dir) == 0);
	headers();
	lengths();
	segments();
	entries();
	files();
	random_damage();
	MUST(rmdir(dir) == 0);
	return check_done();
}
