package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vaultik/config"
	"vaultik/internal/words"
)

// lookAgain is how long a backup that waits for another leaves the lock alone: the kernel
// can wake it up, but then nothing else could.
const lookAgain = 250 * time.Millisecond

// waitForHost is lockHost, which waits for another process as long as the options say, or
// until ctx ends.
func (b *backupJob) waitForHost(ctx context.Context) (release func(), err error) {
	release, err = b.lockHost()
	if b.o.Wait <= 0 || !errors.Is(err, config.ErrBusy) {
		return release, err
	}
	b.Note("%v; waiting up to %s for it", err, words.Lasting(b.o.Wait))
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	end := time.NewTimer(b.o.Wait)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ErrInterrupted
		case <-end.C:
			return nil, fmt.Errorf("%w; gave up waiting after %s", err, words.Lasting(b.o.Wait))
		case <-tick.C:
		}
		if release, err = b.lockHost(); !errors.Is(err, config.ErrBusy) {
			return release, err
		}
	}
}
