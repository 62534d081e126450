package preprocess

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The markers of a JPEG that matter here; https://www.w3.org/Graphics/JPEG/itu-t81.pdf, table B.1.
const (
	markerSOF0 = 0xc0 // start of a baseline frame; SOF1 is an extended sequential one
	markerSOF2 = 0xc2 // start of a progressive frame
	markerRST0 = 0xd0 // restart, within the data of a scan; up to RST7
	markerRST7 = 0xd7
	markerEOI  = 0xd9 // end of the image
	markerSOS  = 0xda // start of a scan
	markerAPP1 = 0xe1 // Exif data, among others
)

// A frame is what the SOF segment of a JPEG says.
type frame struct {
	progressive   bool
	width, height int
	components    []component
}

// A component is one channel; across, down are its blocks of 8×8 samples within an MCU, the
// unit in which components are interleaved.
type component struct {
	id           byte
	across, down int
}

// A survey is what the segments of a JPEG say together.
type survey struct {
	frame
	scans       int
	blocks      int64 // of 8×8 samples, that all scans together visit
	orientation orientation
}

// jpegHeader reads a whole JPEG without decoding it. Beside the frame, which has the size,
// it needs to know how many scans there are: each takes time.
func jpegHeader(r io.Reader) (header, error) {
	s, err := surveyJPEG(r)
	if err != nil {
		return header{}, err
	}
	if s.blocks > maxBlocks {
		return header{}, limitError(fmt.Sprintf("%d×%d pixels in %d scans, which are %d blocks to decode, expected at most %d",
			s.width, s.height, s.scans, s.blocks, maxBlocks))
	}
	return header{width: s.width, height: s.height, memory: s.memory(), orientation: s.orientation}, nil
}

// surveyJPEG goes through the segments as image/jpeg does, which ignores what stands between
// them. At an error behind the frame it stops: image/jpeg stops there too, or before.
func surveyJPEG(r io.Reader) (survey, error) {
	s := survey{orientation: normal}
	in := segments{r: bufio.NewReaderSize(r, 32<<10)}
	if _, err := in.r.Discard(len("\xff\xd8")); err != nil {
		return survey{}, unexpectedEOF(err)
	}
	for {
		marker, data, err := in.next()
		switch {
		case err != nil && s.components == nil:
			return survey{}, err
		case err != nil:
			return s, nil
		case marker == markerEOI && s.components == nil:
			return survey{}, errors.New("no frame")
		case marker == markerEOI:
			return s, nil
		case marker >= markerSOF0 && marker <= markerSOF2:
			if s.components != nil {
				return survey{}, errors.New("two frames")
			}
			if s.frame, err = parseFrame(marker, data); err != nil {
				return survey{}, err
			}
		case marker == markerSOS && s.components == nil:
			return survey{}, errors.New("scan before the frame")
		case marker == markerSOS:
			s.scans++
			s.blocks += s.scanBlocks(data)
		case marker == markerAPP1 && s.orientation == normal:
			s.orientation = exifOrientation(data)
		}
	}
}

func parseFrame(marker byte, data []byte) (frame, error) {
	if len(data) < 6 || len(data) != 6+3*int(data[5]) {
		return frame{}, fmt.Errorf("frame segment of %d bytes", len(data))
	}
	f := frame{
		progressive: marker == markerSOF2,
		height:      int(binary.BigEndian.Uint16(data[1:])),
		width:       int(binary.BigEndian.Uint16(data[3:])),
	}
	switch len(data) {
	case 6 + 3*1, 6 + 3*3, 6 + 3*4:
	default:
		return frame{}, fmt.Errorf("%d components, expected 1, 3 or 4", data[5])
	}
	for c := data[6:]; len(c) > 0; c = c[3:] {
		across, down := int(c[1]>>4), int(c[1]&15)
		if across < 1 || across > 4 || down < 1 || down > 4 {
			return frame{}, fmt.Errorf("sampling factors %d×%d, expected 1 to 4", across, down)
		}
		f.components = append(f.components, component{c[0], across, down})
	}
	if len(f.components) == 1 { // not interleaved: an MCU is one block, whatever the factors
		f.components[0].across, f.components[0].down = 1, 1
	}
	return f, nil
}

// blocksOf returns how many blocks of 8×8 samples a component has, those that fill the last
// MCUs of rows and columns included.
func (f frame) blocksOf(c component) int64 {
	first := f.components[0]
	mcus := func(pixels, perMCU int) int64 { return int64((pixels + 8*perMCU - 1) / (8 * perMCU)) }
	return mcus(f.width, first.across) * mcus(f.height, first.down) * int64(c.across*c.down)
}

// scanBlocks returns how many blocks a scan visits, by the data of its SOS segment.
func (f frame) scanBlocks(data []byte) (n int64) {
	if len(data) == 0 {
		return 0
	}
	for i := 1; i < len(data) && i <= 2*int(data[0]); i += 2 {
		for _, c := range f.components {
			if c.id == data[i] {
				n += f.blocksOf(c)
			}
		}
	}
	return n
}

// memory returns how many bytes decoding takes at most: a byte per sample, four for its
// coefficient, which a progressive picture keeps from scan to scan, and four per
// pixel of the picture with all colours.
func (f frame) memory() int64 {
	perBlock := int64(64)
	if f.progressive {
		perBlock += 64 * 4
	}
	n := 4 * int64(f.width) * int64(f.height)
	for _, c := range f.components {
		n += perBlock * f.blocksOf(c)
	}
	return n
}

// segments reads the segments of a JPEG.
type segments struct {
	r    *bufio.Reader
	data []byte // of the last segment
}

// next returns the next marker and the data of its segment, valid until the next call and
// none for EOI. It skips whatever precedes a marker: the data of a scan, in which a byte
// 0xff is followed by 0 or is part of a restart marker.
func (s *segments) next() (marker byte, data []byte, err error) {
	for marker == 0 || marker >= markerRST0 && marker <= markerRST7 {
		if marker, err = s.marker(); err != nil {
			return 0, nil, err
		}
	}
	if marker == markerEOI {
		return marker, nil, nil
	}
	var length [2]byte
	if _, err := io.ReadFull(s.r, length[:]); err != nil {
		return 0, nil, unexpectedEOF(err)
	}
	n := int(binary.BigEndian.Uint16(length[:])) - len(length)
	if n < 0 {
		return 0, nil, fmt.Errorf("segment of length %d, expected at least %d", n+len(length), len(length))
	}
	s.data = slices.Grow(s.data[:0], n)[:n]
	_, err = io.ReadFull(s.r, s.data)
	return marker, s.data, unexpectedEOF(err)
}

// marker returns the byte that follows the next run of 0xff.
func (s *segments) marker() (byte, error) {
	for {
		_, err := s.r.ReadSlice(0xff)
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull {
			return 0, unexpectedEOF(err)
		}
	}
	for {
		b, err := s.r.ReadByte()
		if err != nil || b != 0xff {
			return b, unexpectedEOF(err)
		}
	}
}

func unexpectedEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
