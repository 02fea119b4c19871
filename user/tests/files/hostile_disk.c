/* SPDX-License-Identifier: MIT */
/*
 * Tests a faultfs whose metadata is damaged at random.
 *
 * The disk, which holds a few files, is mounted, walked, read, written and unmounted. Any call may fail, but nothing
 * else may happen. Also tests file systems that are detached with others mounted in them. Needs a machine with --disk
 * 1M.
 *
 * Arguments: seed (1), rounds (40).
 */
#include "user/lib/check.h"
#include "user/lib/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define DISK "/dev/ram0"
#define DISK_BYTES (1UL << 20)
#define SUPER_BYTES 40
#define STATE 12 /* position of a 32-bit number in the super block, and so on */
#define NR_INODES 20
#define INODE_START 28
#define DATA_START 32
#define CLEAN 1
#define MOUNTED 2
#define METADATA_BYTES (10 * PAGE) /* super block, bitmap, inodes, the first directories and indirect blocks */

static unsigned char good[DISK_BYTES], bad[DISK_BYTES];

static void write_file(const char *path, off_t offset, size_t length)
{
	static unsigned char bytes[64 * 1024];
	int fd = open(path, O_RDWR | O_CREAT, 0644);

	MUST(fd >= 0 && pwrite(fd, bytes, length, offset) == (ssize_t)length && close(fd) == 0);
}

static void transfer_disk(unsigned char *bytes, bool write_it)
{
	int fd = open(DISK, O_RDWR);

	MUST(fd >= 0);
	if (write_it)
		MUST(pwrite(fd, bytes, DISK_BYTES, 0) == (ssize_t)DISK_BYTES && fsync(fd) == 0);
	else
		MUST(pread(fd, bytes, DISK_BYTES, 0) == (ssize_t)DISK_BYTES);
	close(fd);
}

/* Makes files with all depths of indirect blocks, a directory, and links. */
static void make_disk(void)
{
	MUST(mount(DISK, "/disk", "faultfs", 0, "format") == 0);
	MUST(chdir("/disk") == 0);
	write_file("small", 0, 100);
	write_file("medium", 0, 60000);
	write_file("sparse", 6UL << 20, 5000);
	MUST(mkdir("dir", 0755) == 0 && mkdir("dir/below", 0755) == 0);
	write_file("dir/file", 0, 5000);
	MUST(link("small", "dir/link") == 0 && symlink("dir/file", "symbolic") == 0);
	MUST(chdir("/") == 0 && umount("/disk") == 0);
	transfer_disk(good, false);
}

/* The file system is busy until the last mapping of a file has been released, which may take a moment. */
static void unmount(void)
{
	MUST(chdir("/") == 0);
	while (umount("/disk"))
		MUST(errno == EBUSY && usleep(1000) == 0);
}

static void use_file(const char *path, uint64_t *r)
{
	static char bytes[100000];
	int fd = open(path, O_RDWR);
	char *p;

	if (fd < 0)
		return;
	for (int i = 0; i < 20 && read(fd, bytes, sizeof(bytes)) > 0; i++)
		continue;
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (unsigned i = 0; p != MAP_FAILED && i < 4; i++)
		(void)CATCH(poke(p + i * PAGE, peek(p + i * PAGE) + 1));
	(void)!pwrite(fd, bytes, draw(r, 20000), draw(r, 8UL << 20));
	(void)!ftruncate(fd, draw(r, 8UL << 20));
	fallocate(fd, 3, draw(r, 50000), draw(r, 50000));
	fsync(fd);
	if (p != MAP_FAILED)
		munmap(p, 4 * PAGE);
	close(fd);
}

/*
 * Uses everything that can be found, and removes some of it. The depth is limited, since a directory may contain
 * itself.
 */
static void use_tree(uint64_t *r, int depth)
{
	DIR *dir = opendir(".");
	struct dirent *entry;
	char target[300];

	for (int n = 0; dir && n < 30 && (entry = readdir(dir)); n++) {
		if (entry->d_name[0] == '.')
			continue;
		(void)!readlink(entry->d_name, target, sizeof(target));
		use_file(entry->d_name, r);
		if (depth && chdir(entry->d_name) == 0) {
			use_tree(r, depth - 1);
			if (chdir(".."))
				break;
		}
		if (draw(r, 2))
			remove(entry->d_name);
		else
			rename(entry->d_name, "renamed");
	}
	if (dir)
		closedir(dir);
	mkdir("new", 0755);
	use_file("new/file", r);
}

/* The damage depends on the seed alone; its consequences also depend on when the flusher frees blocks. */
static int damage_and_use(uint64_t *r)
{
	uint64_t use = splitmix64(r);

	memcpy(bad, good, sizeof(bad));
	for (uint64_t n = 1 + draw(r, 8); n; n--) {
		uint64_t at = draw(r, draw(r, 6) ? METADATA_BYTES : SUPER_BYTES);

		bad[at] = draw(r, 2) ? splitmix64(r) : bad[at] ^ 1U << draw(r, 8);
		if (draw(r, 4) == 0) /* a whole 32-bit number */
			memset(bad + (at & ~3UL), draw(r, 2) ? 0xff : 0, 4);
	}
	transfer_disk(bad, true);
	if (mount(DISK, "/disk", "faultfs", 0, NULL))
		return 0;
	if (chdir("/disk") == 0)
		use_tree(&use, 3);
	unmount();
	return 1;
}

/* Block numbers that the disk does not have. */
static void block_out_of_range(void)
{
	uint32_t *inodes, inode_start;
	unsigned nr = 0;
	char byte;
	int fd;

	memcpy(bad, good, sizeof(bad));
	memcpy(&inode_start, bad + INODE_START, sizeof(inode_start));
	inodes = (uint32_t *)(bad + inode_start * PAGE);
	for (unsigned i = 1; i < 32; i++)
		if (S_ISREG(inodes[i * 32])) /* the mode; the first block's number is the 16th */
			inodes[i * 32 + 16] = 0xfffffff0 - nr++ * 0x10000000;
	transfer_disk(bad, true);
	MUST(nr && mount(DISK, "/disk", "faultfs", 0, NULL) == 0);
	fd = open("/disk/small", O_RDWR);
	MUST(fd >= 0);
	CHECK_ERRNO(read(fd, &byte, 1), EIO);
	CHECK_ERRNO(pwrite(fd, "x", 1, 10), EIO);
	close(fd);
	CHECK_EQ(unlink("/disk/medium"), 0);
	unmount();
}

static uint32_t state(void)
{
	uint32_t state;

	transfer_disk(bad, false);
	memcpy(&state, bad + STATE, sizeof(state));
	return state;
}

/* A disk that is mounted read-only stays as it is, also if it was not unmounted before. */
static void mounted_read_only(void)
{
	static unsigned char unclean[DISK_BYTES];
	char byte;
	int fd;

	memcpy(unclean, good, sizeof(unclean));
	unclean[STATE] = MOUNTED;
	transfer_disk(unclean, true);
	MUST(mount(DISK, "/disk", "faultfs", MS_RDONLY, NULL) == 0);
	fd = open("/disk/small", O_RDONLY);
	MUST(fd >= 0 && read(fd, &byte, 1) == 1 && close(fd) == 0);
	sync();
	unmount();
	transfer_disk(bad, false);
	CHECK(!memcmp(bad, unclean, sizeof(bad)));
	transfer_disk(good, true);
	MUST(mount(DISK, "/disk", "faultfs", MS_RDONLY, NULL) == 0);
	CHECK_EQ(state(), CLEAN);
	CHECK_EQ(mount(NULL, "/disk", NULL, MS_REMOUNT, NULL), 0);
	CHECK_EQ(state(), MOUNTED);
	write_file("/disk/small", 0, 200);
	unmount();
	CHECK_EQ(state(), CLEAN);
}

/* The bitmap and the inode table need their last, partly used, blocks as well. */
static void tables_overlap(void)
{
	uint32_t nr_inodes, data_start;

	memcpy(bad, good, sizeof(bad));
	memcpy(&nr_inodes, bad + NR_INODES, sizeof(nr_inodes));
	memcpy(&data_start, bad + DATA_START, sizeof(data_start));
	nr_inodes += 31;
	memcpy(bad + NR_INODES, &nr_inodes, sizeof(nr_inodes));
	transfer_disk(bad, true);
	CHECK_ERRNO(mount(DISK, "/disk", "faultfs", 0, NULL), EINVAL);
	memcpy(bad, good, sizeof(bad));
	memcpy(bad + INODE_START, &(uint32_t){ 1 }, sizeof(uint32_t));
	transfer_disk(bad, true);
	CHECK_ERRNO(mount(DISK, "/disk", "faultfs", 0, NULL), EINVAL);
}

/*
 * umount -l detaches a file system with others mounted in it. A file system can still be mounted in the detached one,
 * through the working directory.
 */
static void taken_away_with_others(void)
{
	char line[256];
	FILE *mounts;
	int left = 0;

	section("umount -l also unmounts what is mounted below");
	MUST(mount("none", "/disk", "tmpfs", 0, NULL) == 0 && mkdir("/disk/a", 0755) == 0 &&
	     mkdir("/disk/b", 0755) == 0);
	MUST(mount("none", "/disk/a", "tmpfs", 0, NULL) == 0 && mkdir("/disk/a/c", 0755) == 0);
	MUST(mount("none", "/disk/a/c", "tmpfs", 0, NULL) == 0);
	CHECK_ERRNO(umount("/disk"), EBUSY);
	MUST(chdir("/disk") == 0);
	CHECK_EQ(umount2("/disk", MNT_DETACH), 0);
	CHECK_ERRNO(mkdir("/disk/a/x", 0755), ENOENT);
	CHECK_EQ(mount("none", "b", "tmpfs", 0, NULL), 0);
	mounts = fopen("/proc/mounts", "r");
	while (mounts && fgets(line, sizeof(line), mounts))
		left += strstr(line, "/disk") != NULL;
	CHECK_EQ(left, 0);
	fclose(mounts);
}

int main(int argc, char **argv)
{
	uint64_t r = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	int rounds = argc > 2 ? atoi(argv[2]) : 40, mounted = 0;

	catch_faults(0);
	MUST(mkdir("/disk", 0755) == 0);
	make_disk();
	section("block numbers out of range");
	block_out_of_range();
	section("read-only");
	mounted_read_only();
	section("tables that overlap");
	tables_overlap();
	section("random damage");
	for (int i = 0; i < rounds; i++)
		mounted += damage_and_use(&r);
	CHECK_THAT("some could still be mounted", mounted > 0);
	CHECK_THAT("some could not", mounted < rounds);
	taken_away_with_others();
	return check_done();
}
