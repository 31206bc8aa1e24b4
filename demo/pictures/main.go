// Command pictures renders the landscapes of the demonstration set: ridges of
// fractal noise under a graded sky, each from its own seed. It writes JPEG and
// PNG files into the folder named by its argument.
//
//	go run ./demo/pictures demo/set
package main

import (
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"log"
	"math"
	"os"
	"path/filepath"
)

// scene is one picture's light and relief.
type scene struct {
	name             string
	seed             uint32
	top, low, ground [3]float64 // sky at the zenith, at the horizon, nearest ridge
	sunX, sunY, sunR float64    // in units of the picture's width
	ridges           int
	rough            float64
	stars            bool
}

var scenes = []scene{
	{"alpine-dawn", 1, [3]float64{.23, .36, .62}, [3]float64{.98, .74, .55}, [3]float64{.07, .10, .16}, .68, .40, .030, 6, 1.0, false},
	{"blue-hour", 2, [3]float64{.06, .10, .26}, [3]float64{.52, .55, .72}, [3]float64{.03, .04, .09}, .30, .22, .018, 5, .8, true},
	{"desert-noon", 3, [3]float64{.25, .52, .86}, [3]float64{.93, .88, .76}, [3]float64{.58, .34, .18}, .55, .12, .026, 4, .5, false},
	{"forest-mist", 4, [3]float64{.66, .74, .76}, [3]float64{.90, .92, .88}, [3]float64{.10, .22, .17}, .40, .20, .040, 8, .9, false},
	{"harbour-dusk", 5, [3]float64{.16, .14, .34}, [3]float64{.96, .52, .36}, [3]float64{.05, .05, .10}, .48, .47, .036, 5, .35, false},
	{"moonrise", 6, [3]float64{.02, .03, .10}, [3]float64{.20, .24, .40}, [3]float64{.01, .02, .05}, .72, .26, .042, 6, .9, true},
	{"northern-plain", 7, [3]float64{.45, .62, .74}, [3]float64{.93, .93, .86}, [3]float64{.32, .36, .18}, .20, .24, .022, 3, .25, false},
	{"red-canyon", 8, [3]float64{.36, .50, .74}, [3]float64{.98, .80, .60}, [3]float64{.42, .14, .08}, .80, .28, .024, 7, 1.3, false},
	{"salt-lake", 9, [3]float64{.50, .66, .86}, [3]float64{.98, .95, .93}, [3]float64{.62, .60, .64}, .50, .32, .028, 4, .3, false},
	{"storm-coming", 10, [3]float64{.14, .17, .21}, [3]float64{.58, .60, .56}, [3]float64{.06, .08, .08}, .62, .10, .000, 7, 1.1, false},
	{"tea-hills", 11, [3]float64{.54, .72, .80}, [3]float64{.96, .95, .80}, [3]float64{.13, .30, .12}, .34, .30, .026, 9, .6, false},
	{"winter-pass", 12, [3]float64{.40, .52, .70}, [3]float64{.90, .92, .97}, [3]float64{.22, .28, .38}, .60, .22, .022, 6, 1.2, false},
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: pictures FOLDER")
	}
	for i, s := range scenes {
		encode, ext, w := encodeJPEG, ".jpg", 1440
		if i%4 == 3 {
			encode, ext, w = png.Encode, ".png", 480
		}
		if err := write(filepath.Join(os.Args[1], s.name+ext), s.render(w, w*2/3), encode); err != nil {
			log.Fatal(err)
		}
	}
}

func encodeJPEG(w io.Writer, m image.Image) error {
	return jpeg.Encode(w, m, &jpeg.Options{Quality: 84})
}

func write(name string, m image.Image, encode func(io.Writer, image.Image) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(encode(f, m), f.Close())
}

func (s scene) render(w, h int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for x := range w {
		u := float64(x) / float64(w)
		crest := s.crests(u)
		for y := range h {
			v := float64(y) / float64(w)
			c := s.sky(u, v)
			for i, top := range crest {
				if v >= top {
					c = s.slope(i, u, v, top)
				}
			}
			grain := (hash(s.seed, x, y) - .5) * .012
			m.SetRGBA(x, y, color.RGBA{level(c[0] + grain), level(c[1] + grain), level(c[2] + grain), 255})
		}
	}
	return m
}

// crests returns the height of each ridge at u, farthest first.
func (s scene) crests(u float64) []float64 {
	out := make([]float64, s.ridges)
	for i := range out {
		near := float64(i+1) / float64(s.ridges)
		base := .30 + .32*near
		out[i] = base - s.rough*.16*(fractal(s.seed+uint32(i)*97, u*(2+4*(1-near)), 0, 7)-.35)
	}
	return out
}

func (s scene) sky(u, v float64) [3]float64 {
	c := mix(s.top, s.low, math.Pow(math.Min(v/.42, 1), 1.4))
	cloud := math.Max(0, fractal(s.seed+7, u*3, v*9, 6)-.52) * 2.2
	c = mix(c, mix(s.low, [3]float64{1, 1, 1}, .4), math.Min(cloud, .8))
	d := math.Hypot(u-s.sunX, v-s.sunY)
	if s.sunR > 0 {
		c = mix(c, [3]float64{1, .97, .88}, .55*math.Exp(-d*d/(8*s.sunR*s.sunR)))
		c = mix(c, [3]float64{1, .99, .95}, clamp((s.sunR-d)*900))
	}
	if s.stars && hash(s.seed+3, int(u*900), int(v*900)) > .9985 {
		c = mix(c, [3]float64{1, 1, 1}, .8*(1-math.Min(v/.4, 1)))
	}
	return c
}

func (s scene) slope(i int, u, v, top float64) [3]float64 {
	near := float64(i+1) / float64(s.ridges)
	c := mix(s.low, s.ground, .15+.85*math.Pow(near, 1.3))
	light := fractal(s.seed+uint32(i)*31, u*40*(.4+near), v*60, 5) - .5
	mist := math.Exp(-(.62-v)*6) * .25 * (1 - near)
	c = mix(c, s.low, clamp(mist+(v-top)*.8*(1-near)))
	return [3]float64{c[0] + light*.22*near, c[1] + light*.20*near, c[2] + light*.16*near}
}

// fractal sums octaves of value noise into 0..1.
func fractal(seed uint32, x, y float64, octaves int) float64 {
	sum, gain, total := 0.0, 1.0, 0.0
	for o := range octaves {
		sum += gain * noise(seed+uint32(o)*131, x, y)
		total += gain
		x, y, gain = x*2.03, y*2.03, gain*.5
	}
	return sum / total
}

func noise(seed uint32, x, y float64) float64 {
	x0, y0 := math.Floor(x), math.Floor(y)
	fx, fy := smooth(x-x0), smooth(y-y0)
	ix, iy := int(x0), int(y0)
	a := hash(seed, ix, iy)*(1-fx) + hash(seed, ix+1, iy)*fx
	b := hash(seed, ix, iy+1)*(1-fx) + hash(seed, ix+1, iy+1)*fx
	return a*(1-fy) + b*fy
}

func hash(seed uint32, x, y int) float64 {
	h := seed*0x9e3779b1 ^ uint32(x)*0x85ebca77 ^ uint32(y)*0xc2b2ae3d
	h = (h ^ h>>15) * 0x2c1b3c6d
	h = (h ^ h>>12) * 0x297a2d39
	return float64(h^h>>15) / math.MaxUint32
}

func smooth(t float64) float64 { return t * t * (3 - 2*t) }
func clamp(t float64) float64  { return math.Max(0, math.Min(1, t)) }
func level(v float64) uint8    { return uint8(clamp(v)*255 + .5) }

func mix(a, b [3]float64, t float64) [3]float64 {
	return [3]float64{a[0] + (b[0]-a[0])*t, a[1] + (b[1]-a[1])*t, a[2] + (b[2]-a[2])*t}
}
