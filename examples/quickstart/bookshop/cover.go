package bookshop

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
)

// seed turns a title into a number that stays the same.
func seed(title string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(title)) // never fails
	return h.Sum32()
}

// cover draws a gate in the book's own colours.
func (s *Shop) cover(w http.ResponseWriter, r *http.Request) {
	b, ok := s.lookup(w, r)
	if !ok {
		return
	}
	n := seed(b.Title)
	paper := color.RGBA{uint8(n>>16) | 0x80, uint8(n>>8) | 0x80, uint8(n) | 0x80, 255}
	ink := color.RGBA{uint8(n) & 0x7f, uint8(n>>8) & 0x7f, uint8(n>>16) & 0x7f, 255}
	const width, height = 120, 180
	picture := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{paper, ink})
	for y := range height {
		for x := range width {
			dx := x - width/2
			arch := y > 70 && dx*dx < 900 || y <= 70 && dx*dx+(y-70)*(y-70) < 900
			bar := arch && (x%12 < 3 || y%16 < 3)
			edge := x < 6 || y < 6 || x >= width-6 || y >= height-6
			if bar || edge {
				picture.SetColorIndex(x, y, 1)
			}
		}
	}
	w.Header().Set("Content-Type", "image/png")
	_ = png.Encode(w, picture) // the client left: nothing to do about it
}

// jingle plays a quarter of a second of the book's own note as 8 kHz mono WAV.
func (s *Shop) jingle(w http.ResponseWriter, r *http.Request) {
	b, ok := s.lookup(w, r)
	if !ok {
		return
	}
	const rate, samples = 8000, 2000
	pitch := 220 * math.Pow(2, float64(seed(b.Title)%24)/12)
	var out bytes.Buffer
	out.WriteString("RIFF")
	_ = binary.Write(&out, binary.LittleEndian, uint32(36+samples)) // a buffer never fails
	out.WriteString("WAVEfmt ")
	_ = binary.Write(&out, binary.LittleEndian, struct {
		Size            uint32
		Format, Tracks  uint16
		Rate, PerSecond uint32
		Align, Bits     uint16
	}{16, 1, 1, rate, rate, 1, 8})
	out.WriteString("data")
	_ = binary.Write(&out, binary.LittleEndian, uint32(samples))
	for i := range samples {
		out.WriteByte(byte(128 + 90*math.Sin(2*math.Pi*pitch*float64(i)/rate)))
	}
	w.Header().Set("Content-Type", "audio/wav")
	_, _ = w.Write(out.Bytes())
}
