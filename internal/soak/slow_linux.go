package soak

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// slow is a file system of its own, in a file, to which the processes of a control
// group write at a limited rate: the kernel makes them wait in their fsync, as a
// slow disk does. Only root can have it.
type slow struct {
	dir, image, group string
	mounted           bool
}

// newSlow makes one of so many bytes, mounted at dir, limited to so many a second.
func newSlow(ctx context.Context, dir string, size, rate int64) (_ *slow, err error) {
	s := &slow{dir: dir, image: dir + ".img"}
	defer func() {
		if err != nil {
			err = fmt.Errorf("make slow file system: %w", errors.Join(err, s.close()))
		}
	}()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(s.image, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(s.image, size); err != nil {
		return nil, err
	}
	for _, c := range [][]string{{"mkfs.ext4", "-q", s.image}, {"mount", "-o", "loop", s.image, dir}} {
		if out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%q: %w: %s", c, err, strings.TrimSpace(string(out)))
		}
	}
	s.mounted = true
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil, err
	}
	return s, s.limit(fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)), rate)
}

// limit makes the control group, of version 2 or 1, whichever the system has.
func (s *slow) limit(device string, rate int64) error {
	const v1, v2 = "/sys/fs/cgroup/blkio", "/sys/fs/cgroup"
	name := fmt.Sprintf("vaultik-soak-%d", os.Getpid())
	file, rule := "blkio.throttle.write_bps_device", fmt.Sprintf("%s %d", device, rate)
	s.group = filepath.Join(v1, name)
	if _, err := os.Stat(filepath.Join(v2, "cgroup.controllers")); err == nil {
		s.group = filepath.Join(v2, name)
		file, rule = "io.max", fmt.Sprintf("%s wbps=%d", device, rate)
		if err := os.WriteFile(filepath.Join(v2, "cgroup.subtree_control"), []byte("+io"), 0o644); err != nil {
			return err
		}
	}
	if err := os.Mkdir(s.group, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.group, file), []byte(rule), 0o644)
}

// prefix starts a program in the control group.
func (s *slow) prefix() []string {
	return []string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(s.group, "cgroup.procs")}
}

// close removes it all; it may be called at any time.
func (s *slow) close() error {
	var errs []error
	if s.mounted {
		if out, err := exec.Command("umount", s.dir).CombinedOutput(); err != nil {
			errs = append(errs, fmt.Errorf("umount: %w: %s", err, out))
		}
	}
	for _, path := range []string{s.dir, s.image, s.group} {
		if path == "" {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
