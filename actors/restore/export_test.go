package restore

// What the tests of this package take of its inside.
var (
	NewRestoreRun = newRestoreRun
	DefaultBounds = defaultBounds
	Zeros         = zeros
)
