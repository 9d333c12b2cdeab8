// Signs a message with a key, and verifies the signature. It prints the public key and the signature, in hex.
//
//	sign PLACE EPOCH MESSAGE
//
// PLACE is a key directory, or the address of a key in a service, as in "unix:/run/keymill.sock?key=0x...". MESSAGE is 64 hex
// digits.
//
//	go build sign.go
package main

/*
#cgo pkg-config: keymill
#include <keymill.h>
#include <stdlib.h>
*/
import "C"

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"
)

// A call and the text of its error have to be asked for by one thread.
func call(status func() uint32) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if status() == C.KEYMILL_STATUS_DONE {
		return nil
	}
	return errors.New(C.GoString(C.keymill_last_error()))
}

func bytes(slice []byte) (*C.uint8_t, C.size_t) {
	return (*C.uint8_t)(unsafe.Pointer(&slice[0])), C.size_t(len(slice))
}

func sign(place string, epoch uint64, message []byte) (publicKey, signature []byte, err error) {
	var key C.keymill_key
	cPlace := C.CString(place)
	defer C.free(unsafe.Pointer(cPlace))
	if err = call(func() uint32 { return uint32(C.keymill_open_to_sign(cPlace, &key)) }); err != nil {
		return nil, nil, err
	}
	defer C.keymill_close(key)

	var facts C.keymill_key_facts
	if err = call(func() uint32 { return uint32(C.keymill_describe_key(key, &facts)) }); err != nil {
		return nil, nil, err
	}
	publicKey = make([]byte, facts.scheme.public_key_bytes)
	signature = make([]byte, facts.scheme.signature_bytes)
	keyAt, keyBytes := bytes(publicKey)
	messageAt, messageBytes := bytes(message)
	signatureAt, signatureBytes := bytes(signature)
	if err = call(func() uint32 { return uint32(C.keymill_public_key(key, keyAt, keyBytes)) }); err != nil {
		return nil, nil, err
	}
	// When this returns, the epoch is spent on disk, here or where the service is.
	err = call(func() uint32 {
		return uint32(C.keymill_sign(key, C.uint64_t(epoch), messageAt, messageBytes, signatureAt, signatureBytes))
	})
	if err != nil {
		return nil, nil, err
	}
	err = call(func() uint32 {
		return uint32(C.keymill_verify(&facts.scheme.id[0], keyAt, keyBytes, C.uint64_t(epoch), messageAt, messageBytes,
			signatureAt, signatureBytes))
	})
	return publicKey, signature, err
}

func run(words []string) error {
	if len(words) != 4 {
		return errors.New("sign PLACE EPOCH MESSAGE")
	}
	epoch, err := strconv.ParseUint(words[2], 10, 64)
	if err != nil {
		return err
	}
	message, err := hex.DecodeString(words[3])
	if err != nil || len(message) != 32 {
		return errors.New("MESSAGE is 64 hex digits")
	}
	publicKey, signature, err := sign(words[1], epoch, message)
	if err == nil {
		fmt.Println(hex.EncodeToString(publicKey), hex.EncodeToString(signature))
	}
	return err
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
