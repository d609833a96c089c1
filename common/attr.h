/* Annotations for the compiler, which checks most of them. */
#ifndef COMMON_ATTR_H
#define COMMON_ATTR_H

#define MUSTUSE __attribute__((warn_unused_result))
#define PRINTF(text, first) __attribute__((format(printf, text, first)))
#define NORETURN __attribute__((noreturn))
#define NOINLINE __attribute__((noinline))
#define UNUSED __attribute__((unused))

#endif
