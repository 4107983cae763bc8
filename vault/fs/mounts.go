package fs

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// MountPoints are the absolute paths at which this process sees something mounted, even
// a part of the same file system. Known only on Linux.
func MountPoints() map[string]bool {
	all := map[string]bool{}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return all
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) > 4 {
			all[unescapeMount(fields[4])] = true
		}
	}
	return all
}

// unescapeMount turns \040 and the like back into the bytes that they stand for.
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
