/* fault.h: named points at which a test may end the process, to prove that a crash there loses
 * nothing.
 *
 * Compiled only with YZ_FAULTS (preset debug and the sanitizers), never in a release.
 * YZ_FAULT="after_outcomes:3,crash_on_event:<event id>" ends the process with SIGKILL on the third
 * pass of the point after_outcomes, and whenever the event is met.
 *
 * Lifetime  reads the environment at first use.
 * Thread    any.
 */
#ifndef YZ_FAULT_H
#define YZ_FAULT_H

#ifdef YZ_FAULTS
void yz_fault_point(const char *name);
void yz_fault_event(const char *event_id);
#else
#define yz_fault_point(name)     ((void)0)
#define yz_fault_event(event_id) ((void)0)
#endif

#endif
