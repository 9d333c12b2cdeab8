/* What the programs share: checks that name their place, and hex. */

#ifndef CHECK_H
#define CHECK_H

#include <keymill.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: not so: %s; keymill says: '%s'\n", __FILE__, __LINE__, #condition, \
                    keymill_last_error()); \
            exit(1); \
        } \
    } while (0)

/* The call ended so, and what keymill says of it has these words. */
#define REFUSED(call, status, words) \
    do { \
        CHECK((call) == (status)); \
        CHECK(strstr(keymill_last_error(), (words)) != NULL); \
    } while (0)

/* Memory of exactly so many bytes, so that valgrind sees one that is written beyond them. */
static inline unsigned char *room(size_t bytes) {
    unsigned char *memory = (unsigned char *)malloc(bytes);
    CHECK(memory != NULL);
    return memory;
}

static inline unsigned char *from_hex(const char *digits, size_t bytes) {
    unsigned char *memory = room(bytes);
    CHECK(strlen(digits) == 2 * bytes);
    for (size_t at = 0; at < bytes; at++) {
        unsigned value;
        CHECK(sscanf(digits + 2 * at, "%2x", &value) == 1);
        memory[at] = (unsigned char)value;
    }
    return memory;
}

#endif
