/* A key that is never closed, under a trace that names it.
 *
 *     leak DIR TRACE
 */

#include "check.h"

int main(int count, char **words) {
    keymill_key closed, left;
    CHECK(count == 3);
    CHECK(keymill_trace_begin(words[2]) == KEYMILL_STATUS_DONE);
    REFUSED(keymill_trace_begin(words[2]), KEYMILL_STATUS_USAGE, "begun already");
    CHECK(keymill_open(words[1], &closed) == KEYMILL_STATUS_DONE);
    CHECK(keymill_open(words[1], &left) == KEYMILL_STATUS_DONE);
    CHECK(keymill_close(closed) == KEYMILL_STATUS_DONE);
    CHECK(keymill_trace_end() == KEYMILL_STATUS_DONE);
    REFUSED(keymill_trace_end(), KEYMILL_STATUS_USAGE, "no trace");
    REFUSED(keymill_trace_begin(words[2]), KEYMILL_STATUS_USAGE, "is there already");
    return 0;
}
