/* Ordered deaths for the crash tests. In builds with STREAMD_FAULTS, a process that passes fault_point("x") while the
 * file $STREAMD_FAULTS/x exists removes the file and kills itself; in other builds nothing is left of it. */
#ifndef COMMON_FAULT_H
#define COMMON_FAULT_H

#ifdef STREAMD_FAULTS
void fault_point(const char *name);
#else
#define fault_point(name) ((void)0)
#endif

#endif
