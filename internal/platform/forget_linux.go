package platform

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ForgetEnv removes a variable from the environment and overwrites its value in
// the two places where a process has it: the copy that Go made at its start, and
// the block that the kernel gave, which /proc/PID/environ shows. It reports
// whether nothing is left there. Programs that were started before keep theirs.
func ForgetEnv(name string) bool {
	value, ok := os.LookupEnv(name)
	if !ok {
		return true
	}
	_ = os.Unsetenv(name) // fails for impossible names only
	if value == "" {
		return true
	}
	// The kernel copies, and refuses memory that cannot be written: no fault, no
	// pointer arithmetic. value points into Go's own copy of NAME=value.
	done := overwrite(uintptr(unsafe.Pointer(unsafe.StringData(value))), len(value))
	runtime.KeepAlive(value)
	return overwriteBlock(func(n string) bool { return n == name }) && done
}

// HideEnv overwrites the values of variables in the block that the kernel gave, which
// /proc/PID/environ shows; names says of which. They stay set for this process and for
// those that it starts. It reports whether nothing is left there.
func HideEnv(names func(name string) bool) bool { return overwriteBlock(names) }

// overwriteBlock clears the values of variables in the block of the environment.
func overwriteBlock(names func(name string) bool) bool {
	start, end, ok := environBlock()
	if !ok {
		return false
	}
	block := make([]byte, end-start)
	defer clear(block)
	if !transfer(unix.ProcessVMReadv, block, start) {
		return false
	}
	done := true
	for at := 0; at < len(block); {
		entry := block[at:]
		if n := bytes.IndexByte(entry, 0); n >= 0 {
			entry = entry[:n]
		}
		if name, value, found := bytes.Cut(entry, []byte("=")); found && names(string(name)) {
			done = overwrite(start+uintptr(at+len(name)+1), len(value)) && done
		}
		at += len(entry) + 1
	}
	return done
}

// environBlock says where the kernel put the environment: fields 50 and 51 of
// /proc/self/stat, zero where that is not told.
func environBlock() (start, end uintptr, ok bool) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, false
	}
	// The second field, the name of the program, may hold anything but ends with
	// the last parenthesis; the fields from the third on follow.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 49 {
		return 0, 0, false
	}
	from, err1 := strconv.ParseUint(string(fields[47]), 10, 64)
	to, err2 := strconv.ParseUint(string(fields[48]), 10, 64)
	const largest = 64 << 20 // far above what execve takes
	if err1 != nil || err2 != nil || from == 0 || to <= from || to-from > largest {
		return 0, 0, false
	}
	return uintptr(from), uintptr(to), true
}

func overwrite(at uintptr, n int) bool { return transfer(unix.ProcessVMWritev, make([]byte, n), at) }

// transfer copies between local and the memory of this process at an address.
func transfer(call func(int, []unix.Iovec, []unix.RemoteIovec, uint) (int, error), local []byte, at uintptr) bool {
	if len(local) == 0 {
		return true
	}
	iov := unix.Iovec{Base: unsafe.SliceData(local)}
	iov.SetLen(len(local))
	n, err := call(os.Getpid(), []unix.Iovec{iov}, []unix.RemoteIovec{{Base: at, Len: len(local)}}, 0)
	return err == nil && n == len(local)
}
