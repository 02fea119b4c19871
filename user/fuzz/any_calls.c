/* SPDX-License-Identifier: MIT */
/*
 * A seeded fuzzer that makes random system calls with random arguments, without regard to what the calls mean.
 *
 * Call numbers include unknown ones, and arguments are of any kind. Two processes run at a time, one as root and one as
 * an unprivileged user. Each has several threads that make calls, and one more that unmaps, protects and moves the
 * memory that they use. For Faultline only: on a real system the fuzzer would damage everything in its reach.
 *
 * Arguments: seed (1), pairs of processes (12), calls for each of their threads (300).
 */
#include "user/lib/fuzzer.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define RW (PROT_READ | PROT_WRITE)
#define ARENA_PAGES 128UL
#define NR_NUMBERS 470 /* the highest are unknown calls */
#define NOBODY 65534

static char *arena;
static bool privileged;
static volatile bool over;

static const char *const paths[] = {
	"a",
	"d",
	"d/a",
	"s",
	"s/a",
	".",
	"..",
	"/",
	"/tmp",
	"",
	"loop",
	"m",
	"m/x",
	"/dev/null",
	"/dev/zero",
	"/dev/full",
	"/dev/tty",
	"/dev/ram0",
	"/dev/ram1",
	"/dev/shm/x",
	"/dev/fd/5",
	"/proc/self/fd/5",
	"/proc/self/exe",
	"/proc/self/cwd",
	"/proc/self/maps",
	"/proc/self/smaps",
	"/proc/self/pagemap",
	"/proc/self/mem",
	"/proc/self/clear_refs",
	"/proc/self/oom_score_adj",
	"/proc/self/task",
	"/proc/1/maps",
	"/proc/1/fd/0",
	"/proc/vmstat",
	"/proc/swaps",
	"/proc/mounts",
	"/proc/locks",
	"/proc/fault_trace",
	"/proc/sys/vm/max_map_count",
	"/proc/sys/vm/drop_caches",
	"/proc/sys/vm/page-cluster",
	"/proc/sys/vm/fault_policy",
	"/sys/block/ram0/latency",
	"tmpfs",
	"faultfs",
	"proc",
};

static uint64_t any_page(uint64_t *r)
{
	return (uint64_t)arena + draw(r, ARENA_PAGES) * PAGE;
}

static uint64_t any_path(uint64_t *r)
{
	return (uint64_t)paths[draw(r, sizeof(paths) / sizeof(paths[0]))];
}

/*
 * Returns an address in the arena, one that lies just before the end of a page, one in read-only memory, or an absurd
 * one.
 */
static uint64_t any_address(uint64_t *r)
{
	switch (draw(r, 6)) {
	case 0:
		return any_page(r);
	case 1:
		return any_page(r) + PAGE - draw(r, 17);
	case 2:
		return any_path(r);
	case 3:
		return draw(r, 8) ? any_page(r) + draw(r, PAGE) : draw_absurd(r);
	default:
		return any_page(r) + draw(r, PAGE / 8) * 8;
	}
}

static uint64_t any_argument(uint64_t *r)
{
	switch (draw(r, 10)) {
	case 0:
	case 1:
		return draw(r, 32); /* may also be a descriptor */
	case 2:
	case 3:
		return any_address(r);
	case 4:
		return any_path(r);
	case 5:
		return draw(r, 3) ? (1 + draw(r, 40)) * PAGE : draw(r, 1 << 20);
	case 6:
		return draw_absurd(r);
	case 7:
		return 1UL << draw(r, 32) | (draw(r, 2) ? 1UL << draw(r, 32) : 0);
	case 8:
		return draw(r, 4) ? 0 : (uint64_t)AT_FDCWD;
	default:
		return splitmix64(r) >> draw(r, 64);
	}
}

static const short frequent[] = {
	SYS_mmap,	   SYS_munmap,	  SYS_mprotect,	 SYS_mremap, SYS_madvise, SYS_read,
	SYS_write,	   SYS_open,	  SYS_openat,	 SYS_futex,  SYS_shmget,  SYS_shmat,
	SYS_shmdt,	   SYS_shmctl,	  SYS_fcntl,	 SYS_ioctl,  SYS_mount,	  SYS_umount2,
	SYS_swapon,	   SYS_swapoff,	  SYS_renameat2, SYS_readv,  SYS_writev,  SYS_process_vm_readv,
	SYS_sendfile,	   SYS_poll,	  SYS_select,	 SYS_clone,  SYS_fork,	  SYS_getdents64,
	SYS_fallocate,	   SYS_ftruncate, SYS_mlock,	 SYS_msync,  SYS_mincore, SYS_timer_create,
	SYS_timer_settime, SYS_tgkill,
};

static long any_number(uint64_t *r)
{
	return draw(r, 2) ? (long)draw(r, NR_NUMBERS) : frequent[draw(r, sizeof(frequent) / sizeof(frequent[0]))];
}

/*
 * Returns true for a call that must not be made: it would stop the machine, or reach the processes that supervise this
 * one. Also returns true, most of the time, for calls that could end this process too early.
 */
static bool is_spared(uint64_t *r, long nr, const uint64_t a[6])
{
	switch (nr) {
	case SYS_reboot:
		return true;
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
	case SYS_rt_sigqueueinfo:
	case SYS_rt_tgsigqueueinfo:
	case SYS_pidfd_send_signal:
	case SYS_prlimit64:
	case SYS_process_vm_writev:
		return privileged || draw(r, 40);
	case SYS_arch_prctl:
	case SYS_exit:
	case SYS_exit_group:
	case SYS_rt_sigreturn:
	case SYS_rt_sigaction:
	case SYS_setitimer:
	case SYS_alarm:
	case SYS_brk:
		return draw(r, 40);
	case SYS_mmap:
	case SYS_munmap:
	case SYS_mprotect:
	case SYS_mremap:
	case SYS_pkey_mprotect:
	case SYS_madvise:
		return (a[0] - (uint64_t)arena >= ARENA_PAGES * PAGE || a[1] > ARENA_PAGES * PAGE) && draw(r, 40);
	default:
		return false;
	}
}

/* Like syscall(), but a child that the call creates exits at once, without using its stack, which may be anywhere. */
static long call(long nr, const uint64_t a[6])
{
	register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
	long makes_child = nr == SYS_fork || nr == SYS_vfork || nr == SYS_clone || nr == 435 /* clone3 */, result;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "test %[makes_child], %[makes_child]\n\t"
			 "jz 1f\n\t"
			 "mov $60, %%eax\n\t" /* exit */
			 "xor %%edi, %%edi\n\t"
			 "syscall\n\t"
			 "1:"
			 : "=a"(result)
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8),
			   "r"(r9), [makes_child] "b"(makes_child)
			 : "rcx", "r11", "memory");
	return result;
}

static void one_call(uint64_t *r)
{
	long nr = any_number(r);
	uint64_t a[6];

	for (int i = 0; i < 6; i++)
		a[i] = any_argument(r);
	if (nr == SYS_mmap || nr == SYS_munmap || nr == SYS_mprotect || nr == SYS_mremap || nr == SYS_madvise) {
		a[0] = any_page(r);
		a[1] = (1 + draw(r, 20)) * PAGE;
		a[2] = nr == SYS_mremap ? (1 + draw(r, 20)) * PAGE : draw(r, 26);
	}
	if (nr == SYS_wait4)
		a[2] |= WNOHANG;
	if (!is_spared(r, nr, a))
		(void)call(nr, a);
}

static void fill(uint64_t *page, uint64_t *r)
{
	for (size_t i = 0; i < PAGE / 8; i++)
		page[i] = draw(r, 4) ? any_argument(r) : 0;
}

static void touch(uint64_t *r)
{
	(void)CATCH(poke((char *)any_address(r), 1));
	if (draw(r, 8) == 0)
		(void)CATCH(fill((uint64_t *)any_page(r), r));
}

static void *fuzz(void *arg)
{
	uint64_t r = (uint64_t)arg;

	for (long i = 0; i < nr_calls; i++) {
		one_call(&r);
		touch(&r);
	}
	return NULL;
}

/*
 * Unmaps, protects, evicts or moves pages of the arena and maps new ones in their place, until the other threads are
 * done.
 */
static void *spoil(void *arg)
{
	uint64_t r = (uint64_t)arg;

	while (!over) {
		char *p = (char *)any_page(&r);
		size_t length = (1 + draw(&r, 8)) * PAGE;

		switch (draw(&r, 5)) {
		case 0:
			munmap(p, length);
			break;
		case 1:
			mprotect(p, length, draw(&r, 4));
			break;
		case 2:
			madvise(p, length, draw(&r, 2) ? MADV_DONTNEED : 21 /* MADV_PAGEOUT */);
			break;
		case 3:
			mremap(p, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, any_page(&r));
			break;
		default:
			usleep(100);
		}
		mmap(p, length, RW, MAP_FIXED | (draw(&r, 4) ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS, -1, 0);
	}
	return NULL;
}

/* Opens a descriptor of each kind, from 3 on. */
static void open_all(void)
{
	static const char *const files[] = {
		".",	     "/proc/self/maps", "/proc/self/fd", "/dev/zero", "/proc/self/pagemap", "/proc/self/mem",
		"/dev/ram0", "/dev/tty",	"/proc",
	};
	int fds[2];

	MUST(pipe2(fds, O_NONBLOCK) == 0 && pipe(fds) == 0);
	eventfd(1, EFD_NONBLOCK);
	(void)!ftruncate(memfd_create("m", MFD_ALLOW_SEALING), 3 * PAGE);
	open("a", O_RDWR | O_CREAT, 0666);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (open(files[i], O_RDWR) < 0)
			open(files[i], O_RDONLY);
}

static void limit(int resource, rlim_t value)
{
	setrlimit(resource, &(struct rlimit){ value, value });
}

static void prepare(void)
{
	stack_t ss = { .ss_sp = map_pages(8, RW), .ss_size = 8 * PAGE };

	for (int fd = 0; fd < 3; fd++)
		close(fd);
	MUST(open("/dev/null", O_RDWR) == 0 && dup(0) == 1 && dup(0) == 2);
	limit(RLIMIT_AS, 96 << 20);
	limit(RLIMIT_NOFILE, 64);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NPROC, 64);
	limit(RLIMIT_FSIZE, 8 << 20);
	setsid();
	sigaltstack(&ss, NULL);
	catch_faults(SA_ONSTACK);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static int child(long number)
{
	pthread_t thread;

	privileged = fork() == 0; /* parent and child both continue */
	alarm(3);
	prepare();
	if (!privileged)
		MUST(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
	open_all();
	arena = map_pages(ARENA_PAGES, RW);
	if (pthread_create(&thread, NULL, spoil, (void *)(number + 1)))
		return 1;
	fuzz_in_threads(2 * number + privileged, fuzz);
	over = true;
	pthread_join(thread, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 0; /* one of our children has called execve */
	MUST(mkdir("/tmp/any", 0777) == 0 && chmod("/tmp/any", 0777) == 0 && chdir("/tmp/any") == 0);
	MUST(mkdir("d", 0777) == 0 && mkdir("m", 0777) == 0 && symlink("d", "s") == 0 && symlink("loop", "loop") == 0);
	nr_calls = 300;
	return fuzzer_main((struct fuzzer){ "any calls", child, .seconds = 3, .nr_children = 12 }, argc, argv);
}
