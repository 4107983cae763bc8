package rclone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config"
	"github.com/rclone/rclone/fs/hash"
	"github.com/rclone/rclone/lib/atexit"

	"vaultik/backends"
)

// childEnv makes TestMain run one of children instead of the tests.
const childEnv = "VAULTIK_RCLONE_CHILD"

var children = map[string]func(){
	"open":  childOpen,
	"level": func() { fmt.Println(fs.GetConfig(context.Background()).LogLevel) },
	"fill":  childFill,
}

// child runs this program again as another process, with nothing of our
// environment, and returns what it prints.
func child(t *testing.T, what string, env []string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append([]string{childEnv + "=" + what, "HOME=" + t.TempDir()}, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Errorf("child %s: %v\n%s%s", what, err, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// childOpen opens the store $STORE and says what came of it.
func childOpen() {
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	b, err := backends.Open(context.Background(), os.Getenv("STORE"), backends.Options{Create: true, Log: log,
		Rclone: backends.RcloneOptions{PasswordCommand: strings.Fields(os.Getenv("COMMAND"))}})
	if err != nil {
		fmt.Printf("config %v: %v\n", errors.Is(err, backends.ErrConfig), err)
		return
	}
	fmt.Println("opened", fs.GetConfig(context.Background()).LogLevel, fs.GetConfig(context.Background()).Timeout)
	if err := b.Close(); err != nil {
		fmt.Println(err)
	}
}

func TestEnvironment(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "rclone.conf")
	if err := os.WriteFile(conf, []byte("[r]\ntype = local\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := "rclone://r/" + t.TempDir()
	for _, c := range []struct {
		name string
		env  []string
		args []string
		want []string
	}{
		{"bad number", []string{"RCLONE_TRANSFERS=abc"}, nil, []string{"config true", "RCLONE_TRANSFERS"}},
		{"bad duration", []string{"RCLONE_TIMEOUT=soon"}, nil, []string{"config true", "RCLONE_TIMEOUT"}},
		{"bad setting of another part", []string{"RCLONE_MAX_AGE=abc"}, nil, []string{"config true", "RCLONE_MAX_AGE"}},
		{"used", []string{"RCLONE_TIMEOUT=7s"}, nil, []string{"opened NOTICE 7s"}},
		{"no use", []string{"RCLONE_DRY_RUN=true", "RCLONE_BWLIMIT=1M"}, nil, []string{"opened NOTICE", "no effect here: RCLONE_BWLIMIT, RCLONE_DRY_RUN"}},
		{"log level", []string{"RCLONE_LOG_LEVEL=DEBUG"}, []string{"-vv", "--log-level=DEBUG"}, []string{"opened NOTICE"}},
		{"remote in the environment", []string{"RCLONE_CONFIG_R_TYPE=local", "RCLONE_CONFIG=" + os.DevNull}, nil, []string{"opened"}},
		{"no such file", []string{"RCLONE_CONFIG=" + conf + ".none"}, nil, []string{`"r" is not in ` + conf + ".none; it has no remote"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs := child(t, "open", append([]string{"STORE=" + store, "RCLONE_CONFIG=" + conf}, c.env...), c.args...)
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("no %q in: %s", want, out)
				}
			}
			if errs != "" {
				t.Errorf("written to stderr: %s", errs)
			}
		})
	}
}

// Without any store nothing of rclone is to be noticed.
func TestEnvironment_Unused(t *testing.T) {
	home := t.TempDir()
	out, errs := child(t, "level", []string{"HOME=" + home, "RCLONE_TRANSFERS=abc", "RCLONE_CONFIG_PASS=x"})
	if out != "NOTICE\n" || errs != "" {
		t.Errorf("printed %q, %q", out, errs)
	}
	if list, err := os.ReadDir(home); err != nil || len(list) > 0 {
		t.Errorf("in the home directory: %v, %v", list, err)
	}
}

// rclone's default place is used, and the variables of the user are there for it.
func TestEnvironment_Default(t *testing.T) {
	home := t.TempDir()
	if err := os.MkdirAll(home+"/.config/rclone", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(home+"/.config/rclone/rclone.conf", []byte("[r]\ntype = alias\nremote = "+home+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs := child(t, "open", []string{"HOME=" + home, "STORE=rclone://r/x"}); !strings.HasPrefix(out, "opened") || errs != "" {
		t.Errorf("printed %q, %q", out, errs)
	}
}

// encrypted writes an rclone.conf that has a password.
func encrypted(t *testing.T, text, password string) string {
	t.Helper()
	if err := config.SetConfigPassword(password); err != nil {
		t.Fatal(err)
	}
	defer config.ClearConfigPassword()
	var b bytes.Buffer
	if err := config.Encrypt(strings.NewReader(text), &b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "rclone.conf")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEncryptedConf(t *testing.T) {
	conf := encrypted(t, "[r]\ntype = local\n", "hunter2")
	for _, c := range []struct {
		name string
		env  []string
		want string
	}{
		{"no password", nil, "config true: open rclone://r/DIR: read " + conf + ": it is encrypted; set"},
		{"from the environment", []string{"RCLONE_CONFIG_PASS=hunter2"}, "opened"},
		{"wrong", []string{"RCLONE_CONFIG_PASS=hunter3"}, "encrypted with a different password"},
		{"from a command", []string{"COMMAND=echo hunter2"}, "opened"},
		{"from rclone's command", []string{"RCLONE_PASSWORD_COMMAND=echo hunter2"}, "opened"},
		{"wrong from a command", []string{"COMMAND=echo hunter3"}, "encrypted with a different password"},
		{"command fails", []string{"COMMAND=false"}, "config true: open rclone://r/DIR: read " + conf + ": password command failed: exit status 1"},
		{"no such command", []string{"COMMAND=/none/hunter"}, "no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			out, errs := child(t, "open", append([]string{"STORE=rclone://r/" + dir, "RCLONE_CONFIG=" + conf, "PATH=" + os.Getenv("PATH")}, c.env...))
			if want := strings.ReplaceAll(c.want, "DIR", dir); !strings.Contains(out, want) || errs != "" {
				t.Errorf("printed %q, %q; want %q", out, errs, want)
			}
			if strings.Contains(out, "hunter2") || strings.Contains(out, "hunter3") {
				t.Errorf("the password is in %q", out)
			}
		})
	}
}

func TestBrokenConf(t *testing.T) {
	o := conf(t, "# remotes\n[r]\ntype = local\n\nhunter2\n")
	_, err := backends.Open(t.Context(), "rclone://r//tmp", backends.Options{Rclone: o})
	if !errors.Is(err, backends.ErrConfig) || !strings.Contains(err.Error(), "line 5 ") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("broken rclone.conf: %v", err)
	}
	if err := os.Chmod(filepath.Dir(o.Config), 0); err == nil && os.Getuid() != 0 {
		_, err := backends.Open(t.Context(), "rclone://r//tmp", backends.Options{Rclone: o})
		if !errors.Is(err, backends.ErrConfig) || !strings.Contains(err.Error(), o.Config) {
			t.Errorf("unreadable rclone.conf: %v", err)
		}
	}
	if _, err := backends.Open(t.Context(), "rclone://r//tmp", backends.Options{Rclone: backends.RcloneOptions{Config: t.TempDir()}}); !errors.Is(err, backends.ErrConfig) {
		t.Errorf("a directory as rclone.conf: %v", err)
	}
}

// Two stores have one rclone.conf; the next ones may have another.
func TestConf_One(t *testing.T) {
	one, two := conf(t, "[a]\ntype = local\n"), conf(t, "[b]\ntype = local\n")
	dir := t.TempDir()
	a, err := backends.Open(t.Context(), "rclone://a/"+dir, backends.Options{Rclone: one})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backends.Open(t.Context(), "rclone://b/"+dir, backends.Options{Rclone: two}); !errors.Is(err, backends.ErrConfig) || !strings.Contains(err.Error(), one.Config) {
		t.Errorf("a second rclone.conf beside the first: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := backends.Open(t.Context(), "rclone://b/"+dir, backends.Options{Rclone: two})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// What rclone does at the end of the process, when a setting is bad, is an error here.
func TestGuard(t *testing.T) {
	o := conf(t, "[r]\ntype = webdav\nurl = http://127.0.0.1:1\noverride.ca_cert = /none/ca.pem\n")
	_, err := backends.Open(t.Context(), "rclone://r/x", backends.Options{Rclone: o})
	if !errors.Is(err, backends.ErrConfig) || !strings.Contains(err.Error(), "/none/ca.pem") {
		t.Errorf("a CA that is not there: %v", err)
	}
	defer func() {
		if p := recover(); p != "fatal, but ours" {
			t.Errorf("panicked with %v", p)
		}
	}()
	_ = guard(func() error { panic("fatal, but ours") })
}

// rclone installs a handler of signals with the first upload in several parts; it
// would end the process while we clean up.
func TestSignals(t *testing.T) {
	b := openLocal(t, backends.Options{Create: true})
	defer atexit.Unregister(atexit.Register(func() { t.Error("rclone handles a signal") }))
	got := make(chan os.Signal, 1)
	signal.Notify(got, syscall.SIGTERM)
	defer signal.Stop(got)
	src := &blockSource{Source: backends.Bytes([]byte("x"), nil), in: make(chan struct{}), out: make(chan struct{})}
	done := make(chan error, 1)
	go func() {
		_, err := b.Put(context.Background(), "x", src, backends.PutOptions{})
		done <- err
	}()
	<-src.in
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != syscall.SIGTERM {
		t.Errorf("got %v", s)
	}
	close(src.out)
	if err := <-done; err != nil {
		t.Errorf("Put beside a signal: %v", err)
	}
	if atexit.Signalled() {
		t.Error("rclone has seen the signal")
	}
}

func TestLog(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := openLocal(t, backends.Options{Create: true, Log: log})
	fs.Debugf(nil, "hidden")
	fs.Infof(nil, "hidden")
	fs.Logf(b.f, "a notice")
	fs.Errorf(nil, "an error")
	fs.Errorf(nil, "an error")
	fs.Errorf(b.f, "an error of all")
	fs.Errorf(newUpload(t.Context(), failing{}, "x", hash.None), "an error of one")
	fs.LogPrintf(fs.LogLevelCritical, nil, "the end")
	for _, want := range []string{"level=INFO msg=\"rclone: Local file system at ", ": a notice\"", "level=WARN msg=\"rclone: an error\"", "level=INFO msg=\"rclone: an error\"",
		": an error of all\"", "level=INFO msg=\"rclone: x: an error of one\"", "level=ERROR msg=\"rclone: the end\""} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	text.Reset()
	// Errors of calls are the calls' own.
	if _, err := b.Put(t.Context(), "x", failing{}, backends.PutOptions{}); err == nil {
		t.Error("Put of a failing source succeeded")
	}
	if strings.Contains(text.String(), "hidden") || text.Len() > 0 {
		t.Errorf("logged: %s", text.String())
	}
}
