package fs

// What lseek calls data and holes here.
const (
	seekData = 3
	seekHole = 4
)
