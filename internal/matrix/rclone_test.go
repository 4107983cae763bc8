package matrix

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/rclone/rclone/backend/memory" // the program does not link it

	"vaultik/backends"
	"vaultik/backends/backendtest"
	_ "vaultik/backends/rclone"
	_ "vaultik/backends/rclone/few"
	"vaultik/internal/testserver"
)

// conf writes an rclone.conf, and returns the settings of stores that use it.
func conf(tb backendtest.TB, dir, text string) backends.RcloneOptions {
	tb.Helper()
	path := filepath.Join(dir, fmt.Sprintf("rclone-%d.conf", number.Add(1)))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatalf("%v", err)
	}
	return backends.RcloneOptions{Config: path}
}

// section is a section of an rclone.conf.
func section(name string, lines ...string) string {
	return "[" + name + "]\n" + strings.Join(lines, "\n") + "\n"
}

// unknown is a store of a remote that is not configured.
func unknown(p place) place {
	return place{URL: "rclone://nosuch/path", Rclone: p.Rclone}
}

func rcloneLocal(t *testing.T) *column {
	root := t.TempDir()
	o := conf(t, root, section(remote, "type = local"))
	return &column{
		url: "rclone://" + remote + "//path (type local)",
		fresh: func(backendtest.TB) place {
			return place{URL: fmt.Sprintf("rclone://%s/%s/%d/store", remote, root, number.Add(1)), Rclone: o}
		},
		destroy: func(t *testing.T, p place) { removeAll(t, strings.TrimPrefix(p.URL, "rclone://"+remote+"/")) },
		file: func(tb backendtest.TB) place {
			return place{URL: "rclone://" + remote + "/" + plainFile(tb, root), Rclone: o}
		},
		unknown: unknown,
	}
}

func rcloneMemory(t *testing.T) *column {
	o := conf(t, t.TempDir(), section(remote, "type = memory"))
	return &column{
		url: "rclone://" + remote + "/bucket/path (type memory)",
		fresh: func(backendtest.TB) place {
			return place{URL: fmt.Sprintf("rclone://%s/bucket-%d/store", remote, number.Add(1)), Rclone: o}
		},
		unknown: unknown,
	}
}

func rcloneCrypt(t *testing.T) *column {
	root := t.TempDir()
	text := section("below", "type = local") +
		section(remote, "type = crypt", "remote = below:"+root, "password = "+testserver.Obscure(t, "a password"), "password2 = "+testserver.Obscure(t, "salt"))
	o := conf(t, t.TempDir(), text)
	return &column{
		url: "rclone://" + remote + "/path (type crypt over local)",
		fresh: func(backendtest.TB) place {
			return place{URL: fmt.Sprintf("rclone://%s/%d/store", remote, number.Add(1)), Rclone: o}
		},
		// The names are encrypted: all stores go, but only one is in use.
		destroy: func(t *testing.T, _ place) { removeBelow(t, root) },
		unknown: unknown,
	}
}

// rcloneServed is a remote on one of rclone's own servers.
func rcloneServed(kind string) func(t *testing.T) *column {
	return func(t *testing.T) *column {
		dir, confs := t.TempDir(), t.TempDir()
		plainFile(t, dir)
		server := testserver.RcloneServe(t, kind, dir)
		extra := ""
		if kind == "webdav" {
			extra = "pacer_min_sleep = 0s\n" // of 10 ms; a Put takes ten requests
		}
		o := conf(t, confs, server.Section(remote)+extra)
		pathOf := func(p place) string {
			return filepath.Join(dir, strings.TrimPrefix(p.URL, "rclone://"+remote+"/"))
		}
		c := &column{
			url:     "rclone://" + remote + "/path (type " + kind + ")",
			command: command(server.Command, dir, server.URL),
			fresh: func(backendtest.TB) place {
				return place{URL: fmt.Sprintf("rclone://%s/%d/store", remote, number.Add(1)), Rclone: o}
			},
			destroy: func(t *testing.T, p place) {
				removeAll(t, pathOf(p))
				server.Forget(t)
				untilGone(t, p)
			},
			wrong: func(t *testing.T, p place) []place {
				return []place{{URL: p.URL, Rclone: conf(t, confs, server.Wrong(t).Section(remote))}}
			},
			away: func(t *testing.T, p place) place {
				return place{URL: p.URL, Rclone: conf(t, confs, server.At(nobody).Section(remote))}
			},
			unknown: unknown,
			file: func(backendtest.TB) place {
				return place{URL: "rclone://" + remote + "/plain-file", Rclone: o}
			},
		}
		return c
	}
}

// rcloneS3 is a remote on a server of S3 that is not rclone's.
func rcloneS3(t *testing.T) *column {
	server, confs := testserver.VersityGW(t), t.TempDir()
	o := conf(t, confs, server.Section(remote))
	with := func(t *testing.T, p place, change func(s *testserver.S3)) place {
		s := *server
		change(&s)
		return place{URL: p.URL, Rclone: conf(t, confs, s.Section(remote))}
	}
	return &column{
		url:     "rclone://" + remote + "/bucket/path (type s3)",
		command: command(server.Command, server.Dir, server.Endpoint),
		fresh: func(backendtest.TB) place {
			return place{URL: fmt.Sprintf("rclone://%s/%s/store", remote, server.Missing()), Rclone: o}
		},
		destroy: func(t *testing.T, p place) {
			s := *server
			s.Bucket, _, _ = strings.Cut(strings.TrimPrefix(p.URL, "rclone://"+remote+"/"), "/")
			if err := s.Destroy(t.Context()); err != nil {
				t.Fatalf("remove the bucket: %v", err)
			}
		},
		wrong: func(t *testing.T, p place) []place {
			// To an unknown access key this server answers 404, which rclone takes for
			// a missing directory.
			return []place{with(t, p, func(s *testserver.S3) { s.SecretKey = strings.ToUpper(s.SecretKey) })}
		},
		away: func(t *testing.T, p place) place {
			return with(t, p, func(s *testserver.S3) { s.Endpoint = "http://" + nobody })
		},
		unknown: unknown,
	}
}

// untilGone waits until a server has noticed that a store is.
func untilGone(t *testing.T, p place) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		b, err := p.open(t.Context(), backends.Options{})
		if errors.Is(err, backends.ErrContainerNotFound) {
			return
		}
		if err == nil {
			_ = b.Close()
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server has not noticed that the store is gone: %v", err)
		}
	}
}

func removeBelow(tb backendtest.TB, dir string) {
	tb.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	for _, e := range list {
		removeAll(tb, filepath.Join(dir, e.Name()))
	}
}
