package restore

import "context"

// What the tests of this package take of its inside.
var (
	NewRestoreRun = newRestoreRun
	DefaultBounds = defaultBounds
	Zeros         = zeros
)

// LeaveMark leaves what a restore leaves that is killed before it makes anything.
func LeaveMark(ctx context.Context, s *Spec) error {
	run := newRestoreRun(s)
	if err := run.Open(ctx); err != nil {
		return err
	}
	defer run.Close()
	return run.target.Begin()
}
