package bench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// makeBase64 writes two files of base64, the same each time: one without an end of
// line, as documents of JSON and XML hold it, one in lines of 76, as dumps and mail do.
func makeBase64(dir string, size int64) (string, error) {
	whole := base64Reader(rand.NewChaCha8([32]byte{10}), 1<<20, "")
	lines := base64Reader(rand.NewChaCha8([32]byte{11}), lineBytes, "\n")
	for name, r := range map[string]io.Reader{"whole": whole, "lines": lines} {
		if err := writeFile(filepath.Join(dir, name), io.LimitReader(r, size)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("2 files of base64 of %.2f GiB", float64(size)/(1<<30)), nil
}

// lineBytes is how many bytes stand in a line of base64 in mail: 76 characters.
const lineBytes = 57

// base64Reader encodes n bytes of r at a time and puts end after them. It ends with r.
func base64Reader(r io.Reader, n int, end string) io.Reader {
	in, out := make([]byte, n), bytes.Buffer{}
	return readerFunc(func(p []byte) (int, error) {
		for out.Len() < len(p) {
			got, err := io.ReadFull(r, in)
			if got == 0 && err != nil {
				break
			}
			out.Write(base64.StdEncoding.AppendEncode(out.AvailableBuffer(), in[:got]))
			out.WriteString(end)
		}
		return out.Read(p)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// mailbox writes messages. All it says comes from one source of random numbers.
type mailbox struct {
	r     *rand.ChaCha8
	rand  *rand.Rand
	words []string
	when  time.Time
}

// makeMail writes maildirs with messages, the same each time: headers, a text, and
// in every third message a file, in base64, which is most of the bytes.
func makeMail(dir string, total int64) (string, error) {
	source := rand.NewChaCha8([32]byte{20})
	m := &mailbox{r: source, rand: rand.New(source), when: time.Unix(1_700_000_000, 0).UTC()}
	for range 4000 {
		m.words = append(m.words, m.word())
	}
	count, written := 0, int64(0)
	for ; written < total; count++ {
		// 2,000 messages in a folder.
		folder := filepath.Join(dir, fmt.Sprintf(".folder%d", count/2000), "cur")
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return "", err
		}
		text := m.message()
		name := fmt.Sprintf("%d.M%06dP1.mail.example.org,S=%d:2,S", m.when.Unix(), count, len(text))
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return "", err
		}
		written += int64(len(text))
	}
	return fmt.Sprintf("%d messages, %.2f GB", count, float64(written)/1e9), nil
}

// message returns one message, with the ends of line that mail has.
func (m *mailbox) message() []byte {
	m.when = m.when.Add(time.Duration(m.rand.IntN(7200)) * time.Second)
	date, id, boundary := m.when.Format(time.RFC1123Z), m.rand.Uint64(), m.rand.Uint64()
	var b bytes.Buffer
	for _, hop := range []string{"mx2.example.org", "mx1.example.org", "out.example.net"} {
		fmt.Fprintf(&b, "Received: from %s ([192.0.2.%d])\n\tby mail.example.org with ESMTPS id %013X\n\tfor <me@example.org>; %s\n",
			hop, m.rand.IntN(256), m.rand.Uint64()>>12, date)
	}
	fmt.Fprintf(&b, "Message-ID: <%016x@example.net>\nDate: %s\nFrom: %s %s <%s@example.net>\nTo: me@example.org\nSubject: %s\n",
		id, date, m.pick(), m.pick(), m.pick(), m.sentence())
	fmt.Fprintf(&b, "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"=_%016x\"\n\n", boundary)
	fmt.Fprintf(&b, "--=_%016x\nContent-Type: text/plain; charset=utf-8\n\n", boundary)
	for range 5 + m.rand.IntN(40) {
		b.WriteString(m.sentence() + "\n")
	}
	if m.rand.IntN(3) == 0 {
		fmt.Fprintf(&b, "--=_%016x\nContent-Type: application/octet-stream; name=\"%s.zip\"\n", boundary, m.pick())
		b.WriteString("Content-Transfer-Encoding: base64\nContent-Disposition: attachment\n\n")
		size := int64(10_000 + m.rand.IntN(300_000))
		_, _ = io.Copy(&b, base64Reader(io.LimitReader(m.r, size), lineBytes, "\n")) // neither can fail
	}
	fmt.Fprintf(&b, "--=_%016x--\n", boundary)
	return bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte("\r\n"))
}

// word makes up a word of 2 to 9 letters.
func (m *mailbox) word() string {
	var b strings.Builder
	for range 1 + m.rand.IntN(4) {
		b.WriteByte("bcdfghklmnprstvwz"[m.rand.IntN(17)])
		b.WriteByte("aeiou"[m.rand.IntN(5)])
	}
	if m.rand.IntN(2) == 0 {
		b.WriteByte("lnrst"[m.rand.IntN(5)])
	}
	return b.String()
}

// pick chooses a word, the first ones far more often than the last.
func (m *mailbox) pick() string {
	f := m.rand.Float64()
	return m.words[int(f*f*f*float64(len(m.words)))]
}

func (m *mailbox) sentence() string {
	words := make([]string, 4+m.rand.IntN(7))
	for i := range words {
		words[i] = m.pick()
	}
	return strings.Join(words, " ")
}
