/* Sleeps as the kernel does. With a right monotonic clock libfaketime 0.9.10 takes off it what the time of day is off by, and
   the kernel refuses what comes out. */

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *until, struct timespec *left) {
    return syscall(SYS_clock_nanosleep, clock, flags, until, left) == 0 ? 0 : errno;
}
