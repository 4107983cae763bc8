package bench

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// peakEvery is how often a process is asked for its peak; what it reaches in
// its last moments after that goes unseen.
const peakEvery = 10 * time.Millisecond

// watchPeaks follows the processes until the returned function is called, which
// says how much they had resident at most, summed up. The figure that the kernel
// gives with a dead process will not do: it is the parent's where that had more.
func watchPeaks(cmds []*exec.Cmd) func() int64 {
	peaks := make([]int64, len(cmds))
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i, c := range cmds {
		wg.Go(func() {
			tick := time.NewTicker(peakEvery)
			defer tick.Stop()
			for {
				peaks[i] = max(peaks[i], peakOf(c.Process.Pid))
				select {
				case <-tick.C:
				case <-done:
					return
				}
			}
		})
	}
	return func() (sum int64) {
		close(done)
		wg.Wait()
		for _, p := range peaks {
			sum += p
		}
		return sum
	}
}

// peakOf is a process's own peak so far, in bytes; 0 if it is gone.
func peakOf(pid int) int64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib int64
		if _, err := fmt.Sscanf(s.Text(), "VmHWM: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return 0
}
