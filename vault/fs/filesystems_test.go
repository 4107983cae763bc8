package fs

import "testing"

// Two devices that call themselves the same are two file systems, by the order in which they
// are asked for; one that is asked for again keeps its name.
func TestFileSystems(t *testing.T) {
	f := NewFileSystems()
	own := map[uint64]string{1: "a", 2: "a", 3: "b", 4: "a"}
	asked := 0
	f.identify = func(dev uint64, path string) string {
		if asked++; path != "/p" {
			t.Error(path)
		}
		return own[dev]
	}
	for range 2 {
		for dev, want := range []string{1: "a", 2: "a #2", 3: "b", 4: "a #3"} {
			if got := f.Of(&Stat{Dev: uint64(dev)}, "/p"); dev > 0 && got != want {
				t.Errorf("%d is %q, want %q", dev, got, want)
			}
		}
	}
	if asked != 5 {
		t.Errorf("asked %d times", asked)
	}
}

// Names of equal inode numbers are one file only where nothing makes up the numbers.
func TestFileSystems_NumbersFiles(t *testing.T) {
	for id, want := range map[string]bool{
		"ef53 id 1f": true, "58465342 uuid 2e": true, "9123683e id 3 #2": true,
		"65735546 id 1f": false, "65735546 from sshfs": false, "fe534d42 id 1f": false,
		"ff534d42 id 1f": false, "6969 from server:/export": false, "ef53 dev 7": false, "dev 7": false,
	} {
		f := NewFileSystems()
		f.identify = func(uint64, string) string { return id }
		if got := f.NumbersFiles(&Stat{Dev: 1}, "/f"); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}
