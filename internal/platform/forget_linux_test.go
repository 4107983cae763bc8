package platform

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	forgetChild = "PLATFORM_TEST_FORGET_CHILD"
	hideChild   = "PLATFORM_TEST_HIDE_CHILD"
)

func TestMain(m *testing.M) {
	if os.Getenv(forgetChild) != "" {
		os.Exit(forgetInChild())
	}
	os.Exit(m.Run())
}

// forgetInChild runs in a process of its own, whose environment the kernel laid out.
func forgetInChild() int {
	if hide := os.Getenv(hideChild); hide != "" {
		if !HideEnv(func(name string) bool { return name == hide }) {
			fmt.Printf("not all of %s was overwritten\n", hide)
			return 1
		}
	}
	names := strings.Split(os.Getenv(forgetChild), ",")
	for _, name := range names {
		if !ForgetEnv(name) {
			fmt.Printf("not all of %s was overwritten\n", name)
			return 1
		}
		if _, ok := os.LookupEnv(name); ok {
			fmt.Printf("%s is still set\n", name)
			return 1
		}
	}
	for _, kv := range os.Environ() {
		fmt.Printf("environ %s\n", kv)
	}
	block, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Printf("block %q\n", block)
	return 0
}

func TestForgetEnv(t *testing.T) {
	const secret = "correct-horse-battery"
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"FIRST=stays", "SECRET=" + secret, "SECRETX=stays too", "EMPTY=", "LAST=" + secret + "2", forgetChild + "=SECRET,EMPTY,LAST,NEVER_SET"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"environ FIRST=stays\n", "environ SECRETX=stays too\n", "FIRST=stays\\x00", "SECRETX=stays too\\x00"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if bytes.Contains(out, []byte(secret)) {
		t.Errorf("the secret is left in\n%s", out)
	}
}

// What is hidden stays set, but is not shown.
func TestHideEnv(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"FIRST=stays", "HIDDEN=battery=staple", "HIDDENX=stays too",
		hideChild + "=HIDDEN", forgetChild + "=NEVER_SET"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	environ, block, _ := strings.Cut(string(out), "block ")
	if !strings.Contains(environ, "environ HIDDEN=battery=staple\n") {
		t.Errorf("it is no longer set:\n%s", environ)
	}
	if strings.Contains(block, "battery") || !strings.Contains(block, "HIDDENX=stays too") ||
		!strings.Contains(block, "FIRST=stays") {
		t.Errorf("the block is %s", block)
	}
}

// A variable that this process has set has no place in the kernel's block.
func TestForgetEnv_SetLater(t *testing.T) {
	t.Setenv("PLATFORM_TEST_LATER", "x")
	if err := os.Setenv("PLATFORM_TEST_LATER", strings.Repeat("late", 3)); err != nil {
		t.Fatal(err)
	}
	value := os.Getenv("PLATFORM_TEST_LATER")
	if !ForgetEnv("PLATFORM_TEST_LATER") {
		t.Error("not all was overwritten")
	}
	if value != strings.Repeat("\x00", 12) {
		t.Errorf("Go's copy is still %q", value)
	}
}

// Signals of the thread are held back, and come afterwards.
func TestWithoutSignals(t *testing.T) {
	got := make(chan os.Signal, 1)
	signal.Notify(got, unix.SIGUSR1)
	defer signal.Stop(got)
	WithoutSignals(func() {
		if err := unix.Tgkill(os.Getpid(), unix.Gettid(), unix.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", unix.Gettid()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(status, []byte(fmt.Sprintf("SigPnd:\t%016x\n", 1<<(unix.SIGUSR1-1)))) {
			t.Errorf("the signal is not pending:\n%s", status)
		}
	})
	<-got
	var now unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &now); err != nil || now.Val[0]&(1<<(unix.SIGUSR1-1)) != 0 {
		t.Errorf("still blocked: %x, %v", now.Val[0], err)
	}
}
