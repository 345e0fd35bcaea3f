// SPDX-License-Identifier: Apache-2.0
//
// Keeps a process alive that reads mapped memory whose file somebody cuts short.
//
// Touching such memory raises SIGBUS, which ends a JVM when it happens in native code. For memory
// that is watched, the handler here puts a page of zeros in its place and makes a note; whoever
// reads asks afterwards. All other faults go to the handler that was there before, the JVM's.

#define _GNU_SOURCE
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define RANGES 8192

struct range {
	_Atomic uintptr_t begin, end; // end is 0 where the slot is free
	atomic_long faults;
};

static struct range ranges[RANGES];
static atomic_int used; // slots that have ever been in use
static atomic_long all_faults;
static struct sigaction before;
static long page;

static void on_fault(int signal, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	int slots = atomic_load(&used);

	for (int i = 0; i < slots; i++) {
		if (at < atomic_load(&ranges[i].begin) || at >= atomic_load(&ranges[i].end))
			continue;
		void *start = (void *)(at & ~((uintptr_t)page - 1));
		if (mmap(start, page, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0) == MAP_FAILED)
			break;
		atomic_fetch_add(&ranges[i].faults, 1);
		atomic_fetch_add(&all_faults, 1);
		return;
	}
	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(signal, info, context);
	} else if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN) {
		sigaction(SIGBUS, &before, NULL); // the instruction runs again, and ends the process
	} else {
		before.sa_handler(signal);
	}
}

// Called once. Returns 0, or -1.
int guard_install(void)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};

	page = sysconf(_SC_PAGESIZE);
	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, &before);
}

// Watches memory. Returns its slot, or -1 where there is none left. Called by one thread at a time.
int guard_watch(uintptr_t begin, uintptr_t length)
{
	for (int i = 0; i < RANGES; i++) {
		if (atomic_load(&ranges[i].end))
			continue;
		atomic_store(&ranges[i].faults, 0);
		atomic_store(&ranges[i].begin, begin);
		atomic_store(&ranges[i].end, begin + length);
		if (i >= atomic_load(&used))
			atomic_store(&used, i + 1);
		return i;
	}
	return -1;
}

void guard_unwatch(int slot)
{
	atomic_store(&ranges[slot].end, 0);
}

long guard_slot_faults(int slot)
{
	return atomic_load(&ranges[slot].faults);
}

long guard_faults(void)
{
	return atomic_load(&all_faults);
}
