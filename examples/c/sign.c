/* Signs a message with a key, and verifies the signature. It prints the public key and the signature, in hex.
 *
 *     sign PLACE EPOCH MESSAGE
 *
 * PLACE is a key directory, or the address of a key in a service, as in "unix:/run/keymill.sock?key=0x...". MESSAGE is 64 hex
 * digits.
 *
 *     cc sign.c -o sign $(pkg-config --cflags --libs keymill)
 */

#include <keymill.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, keymill_last_error());
    return 1;
}

static void print_hex(const unsigned char *bytes, size_t count, char end) {
    for (size_t at = 0; at < count; at++) printf("%02x", bytes[at]);
    putchar(end);
}

static int sign(keymill_key key, const keymill_scheme_facts *scheme, uint64_t epoch, const unsigned char message[32]) {
    unsigned char *public_key = malloc(scheme->public_key_bytes), *signature = malloc(scheme->signature_bytes);
    int status = 1;
    if (public_key == NULL || signature == NULL)
        fprintf(stderr, "there is no memory\n");
    else if (keymill_public_key(key, public_key, scheme->public_key_bytes) != KEYMILL_STATUS_DONE)
        failed("the public key");
    /* When this returns, the epoch is spent on disk, here or where the service is. */
    else if (keymill_sign(key, epoch, message, 32, signature, scheme->signature_bytes) != KEYMILL_STATUS_DONE)
        failed("signing");
    else if (keymill_verify(scheme->id, public_key, scheme->public_key_bytes, epoch, message, 32, signature,
                            scheme->signature_bytes) != KEYMILL_STATUS_DONE)
        failed("verifying");
    else {
        print_hex(public_key, scheme->public_key_bytes, ' ');
        print_hex(signature, scheme->signature_bytes, '\n');
        status = 0;
    }
    free(public_key);
    free(signature);
    return status;
}

int main(int count, char **words) {
    unsigned char message[32];
    keymill_key key;
    keymill_key_facts facts;
    int is_read = count == 4 && strlen(words[3]) == 64;
    for (int at = 0; is_read && at < 32; at++) is_read = sscanf(words[3] + 2 * at, "%2hhx", &message[at]) == 1;
    if (!is_read) {
        fprintf(stderr, "sign PLACE EPOCH MESSAGE, which is 64 hex digits\n");
        return 2;
    }
    if (keymill_open_to_sign(words[1], &key) != KEYMILL_STATUS_DONE) return failed("opening");
    int status = 1;
    if (keymill_describe_key(key, &facts) != KEYMILL_STATUS_DONE)
        failed("the sizes");
    else
        status = sign(key, &facts.scheme, strtoull(words[2], NULL, 10), message);
    if (keymill_close(key) != KEYMILL_STATUS_DONE) return failed("closing");
    return status;
}
