/* SPDX-License-Identifier: MIT */
/*
 * Job control of a terminal: the session that it controls, the foreground process group, and the signals that stop
 * background groups. Mirrors Linux's tty_jobctrl.c. Takes process_tree_lock, and never while tty->lock is held.
 */
#include "kernel/linux/tty/tty.h"
#include "kernel/lib/errno.h"
#include "kernel/linux/job_control.h"
#include "kernel/linux_hooks.h"
#include "kernel/uaccess.h"

#define TIOCSCTTY 0x540eu
#define TIOCGPGRP 0x540fu
#define TIOCSPGRP 0x5410u
#define TIOCNOTTY 0x5422u
#define TIOCGSID 0x5429u

void tty_signal_foreground(struct tty *tty, int sig)
{
	spin_lock(&process_tree_lock);
	if (tty->pgrp)
		group_signal(tty->pgrp, sig);
	spin_unlock(&process_tree_lock);
}

/* --- background processes --- */

/* Returns whether the current thread blocks or ignores the signal. */
static bool would_not_stop(int sig)
{
	struct process *process = current->process;
	u64 handler = READ_ONCE(process->sighand->action[sig - 1].handler); /* a concurrent change may be missed */

	return (current->blocked & sigmask(sig)) || handler == SIG_IGN;
}

/*
 * Sends sig to the group of a background process, if that stops it. Returns the answer of tty_check_foreground().
 * => process_tree_lock held.
 */
static int stop_background(struct process *process, int sig)
{
	assert_spin_held(&process_tree_lock);
	if (would_not_stop(sig))
		return sig == SIGTTIN ? -EIO : 0;
	if (group_is_orphaned(process->pgid, NULL))
		return -EIO;
	group_signal(process->pgid, sig);
	return -ERESTARTSYS;
}

int tty_check_foreground(struct tty *tty, int sig)
{
	struct process *process = current->process;
	int answer = 0;

	spin_lock(&process_tree_lock);
	if (process->tty == tty && tty->pgrp && process->pgid != tty->pgrp)
		answer = stop_background(process, sig);
	spin_unlock(&process_tree_lock);
	return answer;
}

/* --- acquiring a terminal --- */

/* => process_tree_lock held. */
static void give_to(struct tty *tty, struct process *process)
{
	assert_spin_held(&process_tree_lock);
	tty->session = process->sid;
	tty->pgrp = process->pgid;
	WRITE_ONCE(process->tty, tty);
}

void tty_adopt(struct tty *tty)
{
	struct process *process = current->process;

	spin_lock(&process_tree_lock);
	if (process->sid == process->pid && !process->tty && !tty->session)
		give_to(tty, process);
	spin_unlock(&process_tree_lock);
}

/*
 * Makes the terminal the controlling terminal of the process; `steal`: even if another session has it, for which the
 * process must be privileged. Returns: 0 or -EPERM. => process_tree_lock held.
 */
static int acquire(struct tty *tty, struct process *process, bool steal)
{
	bool leader = process->sid == process->pid;

	assert_spin_held(&process_tree_lock);
	if (leader && process->sid == tty->session)
		return 0;
	if (!leader || process->tty || (tty->session && !(steal && process_is_privileged(process))))
		return -EPERM;
	if (tty->session)
		session_leave_terminal(tty->session);
	give_to(tty, process);
	return 0;
}

/* --- releasing a terminal --- */

/*
 * Sends SIGHUP and SIGCONT to the foreground group, and takes the terminal from all processes of its session.
 * => process_tree_lock held.
 */
static void jobs_release(struct tty *tty)
{
	assert_spin_held(&process_tree_lock);
	if (tty->pgrp) {
		group_signal(tty->pgrp, SIGHUP);
		group_signal(tty->pgrp, SIGCONT);
	}
	session_leave_terminal(tty->session);
	tty->session = tty->pgrp = 0;
}

/* The new generation makes the files that are open on the terminal dead. */
void tty_session_ends(struct process *leader)
{
	struct tty *tty = leader->tty;

	assert_spin_held(&process_tree_lock);
	if (!tty || tty->session != leader->sid)
		return;
	WRITE_ONCE(tty->generation, tty->generation + 1);
	jobs_release(tty);
	wake_up_all(&tty->readers);
	wake_up_all(&tty->writers);
}

/* => process_tree_lock held. */
static int jobs_give_back(struct tty *tty, struct process *process)
{
	assert_spin_held(&process_tree_lock);
	if (process->tty != tty)
		return -ENOTTY;
	if (process->sid == process->pid)
		jobs_release(tty);
	else
		WRITE_ONCE(process->tty, NULL);
	return 0;
}

/* --- the foreground --- */

/* => process_tree_lock held. */
static bool group_in_session(s32 pgid, s32 sid, bool *exists)
{
	struct process *process;

	assert_spin_held(&process_tree_lock);
	*exists = false;
	for_each_in_group (process, pgid) {
		*exists = true;
		if (process->sid == sid)
			return true;
	}
	return false;
}

/* => process_tree_lock held. */
static int set_foreground(struct tty *tty, struct process *process, s32 pgid)
{
	bool exists;

	assert_spin_held(&process_tree_lock);
	if (process->tty != tty || tty->session != process->sid)
		return -ENOTTY;
	if (!group_in_session(pgid, process->sid, &exists))
		return exists ? -EPERM : -ESRCH;
	tty->pgrp = pgid;
	return 0;
}

static long change_foreground(struct tty *tty, u64 arg)
{
	int error = tty_check_foreground(tty, SIGTTOU);
	s32 pgid;

	if (error)
		return error == -EIO ? -ENOTTY : error;
	if (get_user(&pgid, arg))
		return -EFAULT;
	if (pgid < 0)
		return -EINVAL;
	spin_lock(&process_tree_lock);
	error = set_foreground(tty, current->process, pgid);
	spin_unlock(&process_tree_lock);
	return error;
}

static long get_number(struct tty *tty, const s32 *which, u64 arg)
{
	s32 number = -1;

	spin_lock(&process_tree_lock);
	if (current->process->tty == tty)
		number = *which;
	spin_unlock(&process_tree_lock);
	return number < 0 ? -ENOTTY : put_user(number, arg);
}

long tty_jobs_ioctl(struct tty *tty, u32 cmd, u64 arg)
{
	long answer;

	switch (cmd) {
	case TIOCGPGRP:
		return get_number(tty, &tty->pgrp, arg);
	case TIOCGSID:
		return get_number(tty, &tty->session, arg);
	case TIOCSPGRP:
		return change_foreground(tty, arg);
	case TIOCSCTTY:
	case TIOCNOTTY:
		spin_lock(&process_tree_lock);
		answer = cmd == TIOCSCTTY ? acquire(tty, current->process, arg == 1)
					  : jobs_give_back(tty, current->process);
		spin_unlock(&process_tree_lock);
		return answer;
	}
	return -ENOIOCTLCMD;
}

s32 tty_foreground(struct process *process)
{
	s32 pgrp;

	spin_lock(&process_tree_lock);
	pgrp = process->tty ? process->tty->pgrp : -1;
	spin_unlock(&process_tree_lock);
	return pgrp;
}
