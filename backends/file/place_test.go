package file

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vaultik/backends"
)

func TestOpen_Locations(t *testing.T) {
	root := t.TempDir()
	inFile := filepath.Join(root, "file")
	if err := os.WriteFile(inFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(root, "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(root, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		location string
		want     error
	}{
		{root, nil}, {"file://" + root, nil}, {"file://localhost" + root, nil}, {link, nil}, {root + "/./x/..", nil},
		{inFile, backends.ErrConfig}, {inFile + "/below", backends.ErrConfig}, {loop, unix.ELOOP},
		{root + "/missing", backends.ErrContainerNotFound}, {"file://" + root + "/mis%20sing", backends.ErrContainerNotFound},
		{"file://host/path", backends.ErrConfig}, {"file:relative", backends.ErrConfig}, {"file://user:secret@localhost/x", backends.ErrConfig},
		{"file:///x?secret", backends.ErrConfig}, {"file:///x#secret", backends.ErrConfig},
	} {
		b, err := backends.Open(t.Context(), c.location, backends.Options{})
		if err == nil {
			_ = b.Close()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("open %s: %v, want %v", c.location, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("open %s: the error tells a secret: %v", c.location, err)
		}
	}
}

func TestOpen_Relative(t *testing.T) {
	t.Chdir(t.TempDir())
	b, err := backends.Open(t.Context(), "./st:ore", backends.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	put(t, b, "x", "x")
	t.Chdir("/")
	put(t, b, "y/z", "y") // the store does not move with the process
}

func TestModes(t *testing.T) {
	top := t.TempDir()
	root := filepath.Join(top, "new/store")
	b, err := Open(root, backends.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	put(t, b, "a/b/x", "x")
	for path, want := range map[string]os.FileMode{"new": 0o700, "new/store": 0o700, "new/store/a": 0o700, "new/store/a/b": 0o700, "new/store/a/b/x": 0o600} {
		st, err := os.Stat(filepath.Join(top, path))
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", path, st.Mode().Perm(), want, err)
		}
	}
}

// What lies in a store and is no object is neither listed nor in the way.
func TestList_Foreign(t *testing.T) {
	b, _, root := openScripted(t)
	put(t, b, "a/x", "x")
	for _, name := range []string{"README.TXT", ".nfs0001", ".hidden/x", "lost+found/x", "a/X", "a/y~", "a/.vtmpx"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"fifo", "a/fifo"} {
		if err := unix.Mkfifo(filepath.Join(root, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := backends.List(t.Context(), b, "")
	if err != nil || len(list) != 1 || list[0].Key != "a/x" {
		t.Errorf("listed %v, %v; want a/x", list, err)
	}
	if _, _, err := b.Get(t.Context(), "fifo", 0, -1); !errors.Is(err, backends.ErrNotFound) {
		t.Errorf("Get of a FIFO: %v", err)
	}
	if _, err := b.ReadRange(t.Context(), "a/fifo", make([]byte, 1), 0); !errors.Is(err, backends.ErrNotFound) {
		t.Errorf("ReadRange of a FIFO: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "a/.vtmpx")); err != nil {
		t.Errorf("a foreign file was removed: %v", err)
	}
}

// A key is either an object or a directory of others.
func TestPut_KeyIsDirectory(t *testing.T) {
	b, _, root := openScripted(t)
	put(t, b, "a/b", "x")
	for _, key := range []string{"a", "a/b/c"} {
		for _, ifAbsent := range []bool{false, true} {
			_, err := b.Put(t.Context(), key, backends.Bytes([]byte("y"), nil), backends.PutOptions{IfAbsent: ifAbsent})
			if !errors.Is(err, backends.ErrInvalidKey) {
				t.Errorf("Put %s beside a/b: %v, want ErrInvalidKey", key, err)
			}
		}
	}
	wantFiles(t, root, "a/b")
}

// No symlink leads out of a store, and none hides objects.
func TestSymlinks(t *testing.T) {
	b, _, root := openScripted(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "x"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, b, "dir/x", "x")
	for name, target := range map[string]string{"out": outside, "in": "dir", "dir/leaf": outside + "/x", "broken": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"out/x", "in/x", "dir/leaf", "broken", "broken/x"} {
		if _, _, err := b.Get(t.Context(), key, 0, -1); !errors.Is(err, backends.ErrUnsupported) || errors.Is(err, backends.ErrNotFound) {
			t.Errorf("Get %s: %v, want ErrUnsupported", key, err)
		}
		if _, err := b.ReadRange(t.Context(), key, make([]byte, 1), 0); !errors.Is(err, backends.ErrUnsupported) {
			t.Errorf("ReadRange %s: %v, want ErrUnsupported", key, err)
		}
		if _, err := b.Stat(t.Context(), key); !errors.Is(err, backends.ErrUnsupported) {
			t.Errorf("Stat %s: %v, want ErrUnsupported", key, err)
		}
	}
	for _, key := range []string{"out/y", "out/sub/y", "in/y"} {
		if _, err := b.Put(t.Context(), key, backends.Bytes([]byte("y"), nil), backends.PutOptions{}); !errors.Is(err, backends.ErrUnsupported) {
			t.Errorf("Put %s: %v, want ErrUnsupported", key, err)
		}
	}
	if err := b.Delete(t.Context(), "out/x"); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("Delete out/x: %v, want ErrUnsupported", err)
	}
	for _, prefix := range []string{"", "out/", "in/", "dir/"} {
		if list, err := backends.List(t.Context(), b, prefix); !errors.Is(err, backends.ErrUnsupported) {
			t.Errorf("List %q: %v, %v; want ErrUnsupported", prefix, list, err)
		}
	}
	wantFiles(t, outside, "x")
	put(t, b, "dir/leaf", "mine") // replaces the link, not what it points to
	if got, err := os.ReadFile(filepath.Join(outside, "x")); err != nil || string(got) != "secret" {
		t.Errorf("Put wrote through a symlink: %q, %v", got, err)
	}
}

// What no object can be, in the place of one or anywhere that may hold none, hides nothing and
// ends no list, whoever has put it there; a link in the place of a directory of objects does.
func TestList_NoObjects(t *testing.T) {
	root := t.TempDir()
	b, err := Open(root, backends.Options{Holds: func(path string) bool { return path == "dir" || path == "dir/sub" }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	put(t, b, "dir/x", "x")
	for name, target := range map[string]string{"dir/file": "x", "dir/up": "..", "dir/broken": "nowhere", "stray": "dir"} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(root, "dir/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(root, "dir/closed"), 0); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{root, filepath.Join(root, "dir")} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t, func() {
		for _, prefix := range []string{"", "dir/"} {
			list, err := backends.List(t.Context(), b, prefix)
			if err != nil || len(list) != 1 || list[0].Key != "dir/x" {
				t.Errorf("List %q: %v, %v; want dir/x", prefix, list, err)
			}
		}
	})
	if _, err := b.Stat(t.Context(), "dir/file"); !errors.Is(err, backends.ErrUnsupported) {
		t.Errorf("Stat of a link: %v, want ErrUnsupported", err)
	}
	for _, target := range []string{"../elsewhere", "nowhere"} { // that may be a disk that is not mounted
		if err := os.Symlink(target, filepath.Join(root, "dir/sub")); err != nil {
			t.Fatal(err)
		}
		if list, err := backends.List(t.Context(), b, ""); !errors.Is(err, backends.ErrUnsupported) {
			t.Errorf("List with a link in the place of a directory: %v, %v; want ErrUnsupported", list, err)
		}
		if err := os.Remove(filepath.Join(root, "dir/sub")); err != nil {
			t.Fatal(err)
		}
	}
}

// A store that is taken away is not an empty one.
func TestRootGone(t *testing.T) {
	b, _, root := openScripted(t)
	put(t, b, "a/x", "x")
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	_, _, getErr := b.Get(t.Context(), "a/x", 0, -1)
	_, statErr := b.Stat(t.Context(), "a/x")
	_, listErr := backends.List(t.Context(), b, "")
	_, subErr := backends.List(t.Context(), b, "a/")
	_, putErr := b.Put(t.Context(), "a/y", backends.Bytes([]byte("y"), nil), backends.PutOptions{})
	for what, err := range map[string]error{
		"Get": getErr, "Stat": statErr, "List": listErr, "List a/": subErr, "Put": putErr, "Delete": b.Delete(t.Context(), "a/x"),
	} {
		if !errors.Is(err, backends.ErrContainerNotFound) || errors.Is(err, backends.ErrNotFound) {
			t.Errorf("%s: %v, want ErrContainerNotFound", what, err)
		}
	}
}

// Directories that someone has tidied away are made again.
func TestPut_DirectoryGone(t *testing.T) {
	b, _, root := openScripted(t)
	put(t, b, "a/b/x", "x")
	if err := os.RemoveAll(filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	put(t, b, "a/b/x", "x")
	wantFiles(t, root, "a/b/x")
}

// asNobody runs f as a user without rights, whoever runs the tests. The identity
// belongs to the thread, which ends with the goroutine.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Getuid() == 0 {
			runtime.LockOSThread()
			if err := unix.Setfsuid(65534); err != nil {
				t.Error(err)
				return
			}
		}
		f()
	}()
	<-done
}

func TestPermission(t *testing.T) {
	b, _, root := openScripted(t)
	put(t, b, "dir/x", "x")
	put(t, b, "open/x", "x")
	for path, mode := range map[string]os.FileMode{"dir": 0, "open/x": 0, "open": 0o555, "": 0o755} {
		if err := os.Chmod(filepath.Join(root, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		for _, path := range []string{"dir", "open"} {
			_ = os.Chmod(filepath.Join(root, path), 0o700)
		}
	}()
	asNobody(t, func() {
		_, _, getErr := b.Get(t.Context(), "dir/x", 0, -1)
		_, _, fileErr := b.Get(t.Context(), "open/x", 0, -1)
		_, rangeErr := b.ReadRange(t.Context(), "open/x", make([]byte, 1), 0)
		_, statErr := b.Stat(t.Context(), "dir/x")
		_, putErr := b.Put(t.Context(), "open/y", backends.Bytes([]byte("y"), nil), backends.PutOptions{})
		_, listErr := backends.List(t.Context(), b, "")
		for what, err := range map[string]error{
			"Get in dir": getErr, "Get of file": fileErr, "ReadRange": rangeErr, "Stat": statErr, "Put": putErr,
			"Delete": b.Delete(t.Context(), "open/x"), "Delete in dir": b.Delete(t.Context(), "dir/x"),
			// A directory that cannot be read is not one without objects.
			"List": listErr,
		} {
			var op *backends.OpError
			if !errors.Is(err, backends.ErrPermission) || !errors.As(err, &op) || op.Retryable || !strings.Contains(err.Error(), root) {
				t.Errorf("%s without permission: %v, want ErrPermission that names the path", what, err)
			}
		}
		if _, err := Open(filepath.Join(root, "dir"), backends.Options{}); !errors.Is(err, backends.ErrPermission) {
			t.Errorf("Open without permission: %v", err)
		}
		if _, err := Open(filepath.Join(root, "open/new"), backends.Options{Create: true}); !errors.Is(err, backends.ErrPermission) {
			t.Errorf("Create without permission: %v", err)
		}
	})
}
