package engine

import (
	"encoding/binary"
	"time"

	"vaultik/config"
	"vaultik/vault/layout"
)

// Which files are read again although nothing about them has changed: with --force-read all
// of them. A set with reread: Nd has each path belong to one of N days, by its hash; a run
// reads the share of each day since the last run that ended well, so that none is left out
// when the machine was off. All that is remembered is that day.

const secondsOfDay = 24 * 60 * 60

// today is the number of days since 1970.
func today() int64 { return time.Now().Unix() / secondsOfDay }

// reread is what of a set is read again on a day; nil: nothing.
func (b *backupSet) reread(all bool, last, day int64) func(path [16]byte) bool {
	if all {
		return func([16]byte) bool { return true }
	}
	days := uint64(b.rereadDays) //nolint:gosec // positive
	if days == 0 {
		return nil
	}
	if last == 0 {
		last = day - 1 // the rest has its turn in the days that follow
	}
	if last >= day { // read today, or the clock was set back
		return nil
	}
	first, span := uint64(last+1), uint64(day-last) //nolint:gosec // days since 1970
	return func(path [16]byte) bool {
		of := binary.BigEndian.Uint64(path[:8]) % days
		return span >= days || (of+days-first%days)%days < span
	}
}

// noteReread remembers that the shares of all days until this one have been read.
func (j *job) noteReread(id layout.SetID, day int64) error {
	return j.state.UpdateSets(func(sets *config.Sets) error {
		for i := range sets.Sets {
			if sets.Sets[i].ID == id {
				sets.Sets[i].Reread = day
			}
		}
		return nil
	})
}
