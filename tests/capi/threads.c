/* One key in many threads: each epoch is signed by two of them, and one closes the key while the others go on.
 *
 *     threads DIR
 */

#include <pthread.h>

#include "check.h"

enum { THREADS = 4, ROUNDS = 6, FIRST_EPOCH = 100 };

static keymill_key key;
static keymill_key_facts facts;
static unsigned char *public_key;
static const unsigned char message[32] = {1};

static void *sign_some(void *argument) {
    uint64_t thread = *(uint64_t *)argument;
    size_t bytes = facts.scheme.signature_bytes;
    unsigned char *signature = room(bytes);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t epoch = FIRST_EPOCH + 2 * round + thread % 2;
        CHECK(keymill_sign(key, epoch, message, 32, signature, bytes) == KEYMILL_STATUS_DONE);
        CHECK(keymill_verify(facts.scheme.id, public_key, facts.scheme.public_key_bytes, epoch, message, 32, signature,
                             bytes) == KEYMILL_STATUS_DONE);
        /* The text is of this thread's own call. */
        char words[64];
        snprintf(words, sizeof words, "epoch %d is outside", (int)(1000 + thread));
        REFUSED(keymill_sign(key, 1000 + thread, message, 32, signature, bytes), KEYMILL_STATUS_USAGE, words);
    }
    free(signature);
    return NULL;
}

static void *sign_until_closed(void *argument) {
    (void)argument;
    size_t bytes = facts.scheme.signature_bytes;
    unsigned char *signature = room(bytes);
    keymill_status status;
    do {
        status = keymill_sign(key, FIRST_EPOCH, message, 32, signature, bytes);
    } while (status == KEYMILL_STATUS_DONE);
    CHECK(status == KEYMILL_STATUS_USAGE);
    CHECK(strstr(keymill_last_error(), "is not open") != NULL);
    free(signature);
    return NULL;
}

static void in_threads(void *(*work)(void *), int closes) {
    pthread_t threads[THREADS];
    uint64_t numbers[THREADS];
    for (uint64_t at = 0; at < THREADS; at++) {
        numbers[at] = at;
        CHECK(pthread_create(&threads[at], NULL, work, &numbers[at]) == 0);
    }
    if (closes) CHECK(keymill_close(key) == KEYMILL_STATUS_DONE);
    for (int at = 0; at < THREADS; at++) CHECK(pthread_join(threads[at], NULL) == 0);
}

int main(int count, char **words) {
    CHECK(count == 2);
    CHECK(keymill_open_to_sign(words[1], &key) == KEYMILL_STATUS_DONE);
    CHECK(keymill_describe_key(key, &facts) == KEYMILL_STATUS_DONE);
    public_key = room(facts.scheme.public_key_bytes);
    CHECK(keymill_public_key(key, public_key, facts.scheme.public_key_bytes) == KEYMILL_STATUS_DONE);
    in_threads(sign_some, 0);
    in_threads(sign_until_closed, 1);
    /* The lock is free again. */
    CHECK(keymill_open_to_sign(words[1], &key) == KEYMILL_STATUS_DONE);
    CHECK(keymill_close(key) == KEYMILL_STATUS_DONE);
    free(public_key);
    return 0;
}
