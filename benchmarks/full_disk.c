/* A disk that is full from the n-th write below a folder on, for a program and all that it starts.

   cc -shared -fPIC -o full_disk.so full_disk.c -ldl
   LD_PRELOAD=./full_disk.so FULL_DISK=FILE PROGRAM

   FILE holds a `struct control`, which whoever gives the orders maps into memory too. Of the first
   write that fails half is done, as on a disk that has a little room left. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

struct control {
  long full_from; /* number of the first write that fails, from 1; 0: none does */
  long writes;    /* how many there have been */
  char folder[PATH_MAX]; /* below which they count, with a slash behind it */
};

static struct control *control;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FULL_DISK");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) control = mapped;
  close(file);
}

/* How much of `size` bytes may be written to an open file; -1, with errno, if nothing. */
static ssize_t room(int file, size_t size) {
  char link[32], path[PATH_MAX];
  if (!control || !control->folder[0]) return size;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path);
  size_t above = strlen(control->folder);
  if (length < (ssize_t)above || strncmp(path, control->folder, above)) return size;
  long number = __atomic_add_fetch(&control->writes, 1, __ATOMIC_SEQ_CST);
  if (!control->full_from || number < control->full_from) return size;
  if (number == control->full_from && size > 1) return size / 2;
  errno = ENOSPC;
  return -1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *data, size_t size) {
  ssize_t left = room(file, size);
  return left < 0 ? -1 : REAL(write)(file, data, left);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
  ssize_t left = room(file, size);
  return left < 0 ? -1 : REAL(pwrite)(file, data, left, at);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
  ssize_t left = room(file, size);
  return left < 0 ? -1 : REAL(pwrite64)(file, data, left, at);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  return room(file, 1) < 0 ? -1 : REAL(writev)(file, parts, count);
}

ssize_t sendfile(int out, int in, off_t *at, size_t size) {
  ssize_t left = room(out, size);
  return left < 0 ? -1 : REAL(sendfile)(out, in, at, left);
}

ssize_t sendfile64(int out, int in, off64_t *at, size_t size) {
  ssize_t left = room(out, size);
  return left < 0 ? -1 : REAL(sendfile64)(out, in, at, left);
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
  ssize_t left = room(out, size);
  return left < 0 ? -1 : REAL(copy_file_range)(in, from, out, to, left, flags);
}
