package fs

// What lseek calls data and holes here.
const (
	seekData = 4
	seekHole = 3
)
