package bench

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Corpora lists what MakeCorpus knows.
var Corpora = []string{"tree", "big", "img", "base64", "mail"}

// Sizes of the corpora at scale 1.
const (
	treeFiles  = 100_000
	treeBytes  = 2_100_000_000
	bigFile    = 1 << 30 // two of them
	imgBytes   = 2 << 30
	base64File = 512 << 20 // two of them
	mailBytes  = 1_000_000_000
)

// MakeCorpus makes the named corpus in dir and answers what it is. A corpus that is
// complete already is kept: its last act is to write a mark beside dir.
func MakeCorpus(name, dir string, scale float64) (string, error) {
	mark := fmt.Sprintf("%s.made-%g", dir, scale)
	if what, err := os.ReadFile(mark); err == nil {
		return string(what), nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("make corpus %s: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make corpus %s: %w", name, err)
	}
	var (
		what string
		err  error
	)
	switch name {
	case "tree":
		what, err = makeTree(dir, int(treeFiles*scale), int64(treeBytes*scale))
	case "big":
		what, err = makeBig(dir, int64(bigFile*scale))
	case "img":
		what, err = makeImg(dir, int64(imgBytes*scale))
	case "base64":
		what, err = makeBase64(dir, int64(base64File*scale))
	case "mail":
		what, err = makeMail(dir, int64(mailBytes*scale))
	default:
		err = fmt.Errorf("there are only %s", strings.Join(Corpora, ", "))
	}
	if err == nil {
		err = os.WriteFile(mark, []byte(what), 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("make corpus %s: %w", name, err)
	}
	return what, nil
}

// sources lists regular files under the roots that want accepts, in path order.
func sources(roots []string, want func(path string, size int64) bool) ([]string, error) {
	var list []string
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // an unreadable corner of the system is not needed
			}
			info, err := d.Info()
			if err == nil && want(path, info.Size()) {
				list = append(list, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no files under %q", roots)
	}
	return list, nil
}

// makeTree copies source files of Go and of the module cache. When they are used
// up it takes them again with a line more, so that no whole file repeats.
func makeTree(dir string, files int, total int64) (string, error) {
	roots, err := goRoots()
	if err != nil {
		return "", err
	}
	list, err := sources(roots, func(path string, size int64) bool {
		return size > 0 && size < 4<<20 && !strings.Contains(path, "/cache/download/")
	})
	if err != nil {
		return "", err
	}
	count, bytes := 0, int64(0)
	mean := total / int64(max(files, 1))
	for round := 0; count < files; round++ {
		before := count
		for i, path := range list {
			data, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			// Files are small; to reach the mean, small ones are left out while it is missed.
			if bytes < mean*int64(count) && int64(len(data)) < mean {
				continue
			}
			if round > 0 {
				data = append(fmt.Appendf(nil, "// again, %d\n", round), data...)
			}
			to := filepath.Join(dir, fmt.Sprintf("round%d", round), fmt.Sprintf("%03d", i/500), path)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return "", err
			}
			if err := os.WriteFile(to, data, 0o644); err != nil {
				return "", err
			}
			count++
			bytes += int64(len(data))
			if count == files {
				break
			}
		}
		if count == before {
			return "", errors.New("all source files are too small")
		}
	}
	return fmt.Sprintf("%d source files, %.2f GB", count, float64(bytes)/1e9), nil
}

func goRoots() ([]string, error) {
	out, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE").Output()
	if err != nil {
		return nil, fmt.Errorf("ask go where its sources are: %w", err)
	}
	lines := strings.Fields(string(out))
	if len(lines) != 2 {
		return nil, fmt.Errorf("go env answered %q", out)
	}
	return []string{filepath.Join(lines[0], "src"), lines[1]}, nil
}

// makeBig writes two files of random bytes, the same each time.
func makeBig(dir string, size int64) (string, error) {
	for i := range 2 {
		random := rand.NewChaCha8([32]byte{byte(i)})
		if err := writeFile(filepath.Join(dir, fmt.Sprintf("random%d", i)), io.LimitReader(random, size)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("2 random files of %.2f GiB", float64(size)/(1<<30)), nil
}

// makeImg writes one tar of the programs and libraries of this system. When they
// are used up it takes them again with eight bytes changed in each 16 KiB.
func makeImg(dir string, size int64) (string, error) {
	list, err := sources([]string{"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/local", "/opt"}, isBinary)
	if err != nil {
		return "", err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeTar(w, list, size)) }()
	path := filepath.Join(dir, "image.tar")
	if err := writeFile(path, r); err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("1 tar of binaries, %.2f GiB", float64(info.Size())/(1<<30)), nil
}

func isBinary(path string, size int64) bool {
	if size < 16<<10 || size > 256<<20 {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [8]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return false
	}
	return string(head[:4]) == "\x7fELF" || string(head[:8]) == "!<arch>\n"
}

func writeTar(w io.Writer, list []string, size int64) error {
	t := tar.NewWriter(w)
	written := int64(0)
	for round := 0; written < size; round++ {
		for _, path := range list {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for at := 0; round > 0 && at+8 < len(data); at += 16 << 10 {
				copy(data[at:], fmt.Sprintf("%08d", round))
			}
			h := &tar.Header{Name: fmt.Sprintf("%d%s", round, path), Mode: 0o755, Size: int64(len(data)), Typeflag: tar.TypeReg}
			if err := t.WriteHeader(h); err != nil {
				return err
			}
			if _, err := t.Write(data); err != nil {
				return err
			}
			if written += int64(len(data)); written >= size {
				break
			}
		}
	}
	return t.Close()
}

func writeFile(path string, r io.Reader) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Flush(), f.Close())
}

// warm reads everything under dir once and answers how many bytes there are.
func warm(dir string) (int64, error) {
	var total int64
	buf := bytes.Buffer{}
	buf.Grow(1 << 20)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf.AvailableBuffer()[:1<<20])
		total += n
		return err
	})
	return total, err
}

// sizeOf sums the sizes of all files under path.
func sizeOf(path string) (int64, error) {
	var total int64
	err := filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}
