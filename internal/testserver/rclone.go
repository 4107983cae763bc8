package testserver

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// rcloneServe is the program in the directory of the same name.
const rcloneServe = "rcloneserve"

// Server is one of rclone's servers, over a directory.
type Server struct {
	Kind       string // "webdav", "sftp", "ftp", "s3"
	Addr       string // 127.0.0.1:port
	URL        string // with the scheme of its kind
	User, Pass string // of s3: access key and secret key
	KnownHosts string // of sftp: a file that holds the server's key
	Dir        string // what it serves; each directory in it is a bucket of s3
	Command    string // how it was started

	host, port string
	secret     string // Pass as the section has it
	process    *process
}

// RcloneServe starts rclone's server of a kind, "s3", "webdav", "sftp" or "ftp",
// over dir, for this test alone.
func RcloneServe(tb testing.TB, kind, dir string) *Server {
	tb.Helper()
	s := &Server{Kind: kind, User: random(20), Pass: random(40), Dir: dir}
	s.setSecret(tb, s.Pass)
	s.process = start(tb, "rclone-"+kind, func(work string) plan {
		s.Addr = freePort(tb)
		pl := plan{
			program: rcloneServe, args: []string{"serve", kind, "--addr", s.Addr},
			env: append(rcloneEnv(work), "RCLONE_USER="+s.User, "RCLONE_PASS="+s.Pass),
		}
		s.host, s.port, _ = net.SplitHostPort(s.Addr)
		switch kind {
		case "s3":
			s.URL = "http://" + s.Addr
			pl.env = append(rcloneEnv(work), authKey(s.User, s.Pass)) // a user would mean basic authentication
			pl.ready = answers(s.URL, 0)
		case "webdav":
			s.URL = "http://" + s.Addr
			pl.ready = answers(s.URL, 0)
		case "sftp":
			s.URL = "sftp://" + s.Addr
			pl.args = append(pl.args, "--key", hostKey(tb, s, work))
			pl.ready = greets(s.Addr, "SSH-2.0-")
		case "ftp":
			s.URL = "ftp://" + s.Addr
			pl.ready = greets(s.Addr, "220")
		default:
			tb.Fatalf("rclone serves no %q here", kind)
		}
		pl.args = append(pl.args, dir)
		return pl
	})
	s.Command = s.process.command
	tb.Cleanup(func() { s.process.stop(tb) })
	s.process.showLog(tb)
	return s
}

// setSecret sets what clients say.
func (s *Server) setSecret(tb testing.TB, pass string) {
	tb.Helper()
	if s.secret = pass; s.Kind != "s3" {
		s.secret = Obscure(tb, pass)
	}
}

// Wrong returns the server as those see it who have a wrong password.
func (s *Server) Wrong(tb testing.TB) *Server {
	tb.Helper()
	o := *s
	o.setSecret(tb, random(40))
	return &o
}

// At returns the server as if it were at another address, host:port.
func (s *Server) At(addr string) *Server {
	o := *s
	o.URL = strings.Replace(s.URL, s.Addr, addr, 1)
	o.Addr = addr
	o.host, o.port, _ = net.SplitHostPort(addr)
	return &o
}

// Forget makes the server look into its directory again: it remembers for five
// minutes what was there. It does so soon, not at once.
func (s *Server) Forget(tb testing.TB) {
	tb.Helper()
	if err := s.process.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		tb.Fatal(err)
	}
}

// Section returns a section of rclone.conf for the server.
func (s *Server) Section(name string) string {
	lines := []string{"[" + name + "]", "type = " + s.Kind}
	switch s.Kind {
	case "s3":
		lines = append(lines, "provider = Rclone", "endpoint = "+s.URL, "access_key_id = "+s.User, "secret_access_key = "+s.secret)
	case "webdav":
		lines = append(lines, "vendor = rclone", "url = "+s.URL, "user = "+s.User, "pass = "+s.secret)
	case "sftp":
		lines = append(lines, "host = "+s.host, "port = "+s.port, "user = "+s.User, "pass = "+s.secret, "known_hosts_file = "+s.KnownHosts)
	case "ftp":
		lines = append(lines, "host = "+s.host, "port = "+s.port, "user = "+s.User, "pass = "+s.secret)
	}
	return strings.Join(lines, "\n") + "\n"
}

// rcloneEnv keeps rclone to its own directory.
func rcloneEnv(work string) []string {
	return []string{"RCLONE_CONFIG=" + filepath.Join(work, "rclone.conf"), "XDG_CACHE_HOME=" + filepath.Join(work, "cache")}
}

// authKey is one pair of keys, a field of a list with commas.
func authKey(access, secret string) string { return `RCLONE_AUTH_KEY="` + access + "," + secret + `"` }

// hostKey makes the key of a server of SFTP, and the file by which clients know it.
func hostKey(tb testing.TB, s *Server, work string) string {
	tb.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		tb.Fatal(err)
	}
	pub, err := ssh.NewPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	key := filepath.Join(work, "host.key")
	s.KnownHosts = filepath.Join(work, "known_hosts")
	line := fmt.Sprintf("[%s]:%s %s", s.host, s.port, ssh.MarshalAuthorizedKey(pub))
	for path, b := range map[string][]byte{key: pem.EncodeToMemory(block), s.KnownHosts: []byte(line)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return key
}

// Obscure returns a password as rclone.conf holds it.
func Obscure(tb testing.TB, pass string) string {
	tb.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), Find(tb, rcloneServe), "obscure", "-")
	cmd.Stdin = strings.NewReader(pass)
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("obscure: %v", err)
	}
	return strings.TrimSpace(string(out))
}
