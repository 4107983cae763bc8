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

	section string // settings of a remote
	process *process
}

// RcloneServe starts rclone's server of a kind, "s3", "webdav", "sftp" or "ftp",
// over dir, for this test alone.
func RcloneServe(tb testing.TB, kind, dir string) *Server {
	tb.Helper()
	s := &Server{Kind: kind, User: random(20), Pass: random(40), Dir: dir}
	s.process = start(tb, "rclone-"+kind, func(work string) plan {
		s.Addr = freePort(tb)
		pl := plan{
			program: rcloneServe, args: []string{"serve", kind, "--addr", s.Addr},
			env: append(rcloneEnv(work), "RCLONE_USER="+s.User, "RCLONE_PASS="+s.Pass),
		}
		host, port, _ := net.SplitHostPort(s.Addr)
		switch kind {
		case "s3":
			s.URL = "http://" + s.Addr
			s.section = fmt.Sprintf("type = s3\nprovider = Rclone\nendpoint = %s\naccess_key_id = %s\nsecret_access_key = %s\n", s.URL, s.User, s.Pass)
			pl.env = append(pl.env, authKey(s.User, s.Pass))
			pl.ready = answers(s.URL, 0)
		case "webdav":
			s.URL = "http://" + s.Addr
			s.section = fmt.Sprintf("type = webdav\nvendor = rclone\nurl = %s\nuser = %s\npass = %s\n", s.URL, s.User, obscured(tb, s.Pass))
			pl.ready = answers(s.URL, 0)
		case "sftp":
			s.URL = "sftp://" + s.Addr
			key := hostKey(tb, s, work)
			pl.args = append(pl.args, "--key", key)
			s.section = fmt.Sprintf("type = sftp\nhost = %s\nport = %s\nuser = %s\npass = %s\nknown_hosts_file = %s\n", host, port, s.User, obscured(tb, s.Pass), s.KnownHosts)
			pl.ready = greets(s.Addr, "SSH-2.0-")
		case "ftp":
			s.URL = "ftp://" + s.Addr
			s.section = fmt.Sprintf("type = ftp\nhost = %s\nport = %s\nuser = %s\npass = %s\n", host, port, s.User, obscured(tb, s.Pass))
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

// Section returns a section of rclone.conf for the server.
func (s *Server) Section(name string) string { return "[" + name + "]\n" + s.section }

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
	host, port, _ := net.SplitHostPort(s.Addr)
	key := filepath.Join(work, "host.key")
	s.KnownHosts = filepath.Join(work, "known_hosts")
	line := fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(pub))
	for path, b := range map[string][]byte{key: pem.EncodeToMemory(block), s.KnownHosts: []byte(line)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return key
}

// obscured is how rclone.conf holds passwords.
func obscured(tb testing.TB, pass string) string {
	tb.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(tb.Context()), Find(tb, rcloneServe), "obscure", "-")
	cmd.Stdin = strings.NewReader(pass)
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("obscure: %v", err)
	}
	return strings.TrimSpace(string(out))
}
