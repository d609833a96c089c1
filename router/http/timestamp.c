/* Reads a timestamp of RFC 3339 5.6 from left to right; each part takes its bytes off the front:
 *
 *     2030-01-31 T 12:00:00 .250 +01:00
 *     date         time     ms   zone       --> milliseconds since 1970, UTC
 *
 * Lower-case t and z, and a space for T, are allowed as in the RFC's notes. Second 60 is a leap second and counts as
 * the first of the next minute. A time before 1970 becomes 0, which is long ago as well. Anything else fails: a day
 * that its month does not have, a missing zone, bytes behind the zone. */
#include "router/http/timestamp.h"

/* The part of the text that is not read yet. */
struct cursor_in {
    const char *at, *end;
};

static bool timestamp_take_digits(struct cursor_in *in, unsigned count, unsigned *value)
{
    *value = 0;
    for (; count; count--, in->at++) {
        if (in->at == in->end || *in->at < '0' || *in->at > '9')
            return false;
        *value = *value * 10 + (unsigned)(*in->at - '0');
    }
    return true;
}

static bool timestamp_take_one_of(struct cursor_in *in, const char *choices, char *taken)
{
    /* strchr() would find a NUL in the text at the end of `choices`. */
    if (in->at == in->end || !*in->at || !strchr(choices, *in->at))
        return false;
    *taken = *in->at++;
    return true;
}

static unsigned timestamp_days_in(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Days from 1970-01-01 to a date of the Gregorian calendar. The year begins in March here, so a leap day is its last
 * day and the months before it have fixed lengths: (153 * m + 2) / 5 is the sum of the first m. 719468 days lie between
 * 0000-03-01 and 1970-01-01. */
static int64_t timestamp_days_since_1970(unsigned year, unsigned month, unsigned day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t months = (month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * months + 2) / 5 + day - 1 - 719468;
}

static bool timestamp_take_date(struct cursor_in *in, int64_t *days)
{
    unsigned year, month, day;
    char c;
    if (!(timestamp_take_digits(in, 4, &year) && timestamp_take_one_of(in, "-", &c) &&
          timestamp_take_digits(in, 2, &month) && timestamp_take_one_of(in, "-", &c) &&
          timestamp_take_digits(in, 2, &day)))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > timestamp_days_in(year, month))
        return false;
    *days = timestamp_days_since_1970(year, month, day);
    return true;
}

/* A fraction counts to the millisecond; further digits are read and dropped. "." without a digit is malformed. */
static bool timestamp_take_fraction(struct cursor_in *in, unsigned *ms)
{
    unsigned digits = 0;
    *ms = 0;
    if (in->at == in->end || *in->at != '.')
        return true;
    for (in->at++; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++, digits++)
        if (digits < 3)
            *ms = *ms * 10 + (unsigned)(*in->at - '0');
    for (unsigned i = digits; i < 3; i++)
        *ms *= 10;
    return digits > 0;
}

static bool timestamp_take_time(struct cursor_in *in, int64_t *ms)
{
    unsigned hour, minute, second, fraction;
    char c;
    if (!(timestamp_take_digits(in, 2, &hour) && timestamp_take_one_of(in, ":", &c) &&
          timestamp_take_digits(in, 2, &minute) && timestamp_take_one_of(in, ":", &c) &&
          timestamp_take_digits(in, 2, &second) && timestamp_take_fraction(in, &fraction)))
        return false;
    if (hour > 23 || minute > 59 || second > 60)
        return false;
    *ms = ((int64_t)(hour * 60 + minute) * 60 + second) * 1000 + fraction;
    return true;
}

static bool timestamp_take_zone(struct cursor_in *in, int64_t *ms)
{
    unsigned hour, minute;
    char sign, c;
    *ms = 0;
    if (!timestamp_take_one_of(in, "Zz+-", &sign))
        return false;
    if (sign == 'Z' || sign == 'z')
        return true;
    if (!(timestamp_take_digits(in, 2, &hour) && timestamp_take_one_of(in, ":", &c) &&
          timestamp_take_digits(in, 2, &minute)))
        return false;
    /* Local time is ahead of UTC by a "+" zone, so the caller subtracts this. */
    *ms = (int64_t)(hour * 60 + minute) * 60000 * (sign == '-' ? -1 : 1);
    return hour <= 23 && minute <= 59;
}

bool timestamp_parse(struct slice text, uint64_t *ms)
{
    struct cursor_in in = {text.data, slice_end(text)};
    int64_t days, time, zone;
    char c;
    if (!text.len || !(timestamp_take_date(&in, &days) && timestamp_take_one_of(&in, "Tt ", &c) &&
                       timestamp_take_time(&in, &time) && timestamp_take_zone(&in, &zone)))
        return false;
    int64_t total = days * 86400000 + time - zone;
    *ms = total > 0 ? (uint64_t)total : 0;
    return in.at == in.end;
}
