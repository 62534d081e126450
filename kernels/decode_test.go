//go:build !purego

package kernels

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/arch/arm64/arm64asm"
)

// An instruction is one that assembly may use.
type instruction struct {
	name    string
	feature string // that it needs; "" if every processor of the architecture has it
	size    int    // in bytes
}

// decoders has, by architecture, a function that returns the first instruction of code, or an
// error if assembly may not use it.
var decoders = map[string]func(code []byte) (instruction, error){"amd64": decodeAMD64, "arm64": decodeARM64}

// amd64Instructions are the instructions that amd64 assembly may use, each with the feature that it
// needs, by the name that generated files use; the feature is "" if every processor has the
// instruction. The encodings are written as in Intel's manual. A form for a memory operand only, or
// for a register only, has mem or reg at its end. All other instructions are refused, among them
// every 256-bit form of EVEX, which alone can name the registers Y16 to Y31, and every instruction
// on mask registers but comparisons; AVX512F has those that zero lanes by a mask.
var amd64Instructions = []struct{ encoding, name, feature string }{
	{"01 /r", "ADD", ""},
	{"03 /r", "ADD", ""},
	{"05 id", "ADD", ""},
	{"0F 18 /1", "PREFETCHT0", "MMX+"}, // MMX+ is part of SSE
	{"0F 18 /2", "PREFETCHT1", "MMX+"},
	{"0F 84 cd", "JZ", ""},
	{"0F 85 cd", "JNZ", ""},
	{"0F 8C cd", "JL", ""},
	{"0F 8D cd", "JGE", ""},
	{"0F AF /r", "IMUL", ""},
	{"0F B6 /r", "MOVZX", ""},
	{"29 /r", "SUB", ""},
	{"2B /r", "SUB", ""},
	{"31 /r", "XOR", ""},
	{"33 /r", "XOR", ""},
	{"63 /r", "MOVSXD", ""},
	{"69 /r id", "IMUL", ""},
	{"6B /r ib", "IMUL", ""},
	{"74 cb", "JZ", ""},
	{"75 cb", "JNZ", ""},
	{"7C cb", "JL", ""},
	{"7D cb", "JGE", ""},
	{"81 /0 id", "ADD", ""},
	{"81 /5 id", "SUB", ""},
	{"83 /0 ib", "ADD", ""},
	{"83 /5 ib", "SUB", ""},
	{"85 /r", "TEST", ""},
	{"89 /r", "MOV", ""},
	{"8B /r", "MOV", ""},
	{"8D /r", "LEA", ""},
	{"C1 /4 ib", "SHL", ""},
	{"C1 /5 ib", "SHR", ""},
	{"C3", "RET", ""},
	{"C7 /0 id", "MOV", ""},
	{"D1 /4", "SHL", ""},
	{"FF /1", "DEC", ""},

	{"VEX.128.0F.WIG 10 /r", "VMOVUPS", "AVX"},
	{"VEX.128.0F.WIG 11 /r", "VMOVUPS", "AVX"},
	{"VEX.128.0F.WIG 17 /r", "VMOVHPS", "AVX"},
	{"VEX.128.0F.WIG 77", "VZEROUPPER", "AVX"},
	{"VEX.128.66.0F.WIG 62 /r", "VPUNPCKLDQ", "AVX"},
	{"VEX.128.66.0F.WIG 6A /r", "VPUNPCKHDQ", "AVX"},
	{"VEX.128.66.0F.W0 6E /r", "VMOVD", "AVX"},
	{"VEX.128.66.0F.W1 7E /r", "VMOVQ", "AVX"},
	{"VEX.128.66.0F38.WIG 00 /r", "VPSHUFB", "AVX"},
	{"VEX.256.0F.WIG 10 /r", "VMOVUPS", "AVX"},
	{"VEX.256.0F.WIG 11 /r", "VMOVUPS", "AVX"},
	{"VEX.256.0F.WIG 14 /r", "VUNPCKLPS", "AVX"},
	{"VEX.256.0F.WIG 15 /r", "VUNPCKHPS", "AVX"},
	{"VEX.256.0F.WIG 28 /r", "VMOVAPS", "AVX"},
	{"VEX.256.0F.WIG 29 /r", "VMOVAPS", "AVX"},
	{"VEX.256.0F.WIG 51 /r", "VSQRTPS", "AVX"},
	{"VEX.256.0F.WIG 54 /r", "VANDPS", "AVX"},
	{"VEX.256.0F.WIG 57 /r", "VXORPS", "AVX"},
	{"VEX.256.0F.WIG 58 /r", "VADDPS", "AVX"},
	{"VEX.256.0F.WIG 59 /r", "VMULPS", "AVX"},
	{"VEX.256.0F.WIG 5B /r", "VCVTDQ2PS", "AVX"},
	{"VEX.256.0F.WIG 5C /r", "VSUBPS", "AVX"},
	{"VEX.256.0F.WIG 5D /r", "VMINPS", "AVX"},
	{"VEX.256.0F.WIG 5E /r", "VDIVPS", "AVX"},
	{"VEX.256.0F.WIG 5F /r", "VMAXPS", "AVX"},
	{"VEX.256.0F.WIG C2 /r ib", "VCMPPS", "AVX"},
	{"VEX.256.0F.WIG C6 /r ib", "VSHUFPS", "AVX"},
	{"VEX.256.66.0F.WIG 5B /r", "VCVTPS2DQ", "AVX"},
	{"VEX.256.66.0F.WIG 67 /r", "VPACKUSWB", "AVX2"},
	{"VEX.256.66.0F.WIG 6B /r", "VPACKSSDW", "AVX2"},
	{"VEX.256.66.0F.WIG 71 /6 ib", "VPSLLW", "AVX2"},
	{"VEX.256.66.0F.WIG 72 /6 ib", "VPSLLD", "AVX2"},
	{"VEX.256.66.0F.WIG DE /r", "VPMAXUB", "AVX2"},
	{"VEX.256.66.0F.WIG ED /r", "VPADDSW", "AVX2"},
	{"VEX.256.66.0F.WIG F5 /r", "VPMADDWD", "AVX2"},
	{"VEX.256.66.0F.WIG F9 /r", "VPSUBW", "AVX2"},
	{"VEX.256.66.0F.WIG FA /r", "VPSUBD", "AVX2"},
	{"VEX.256.66.0F.WIG FD /r", "VPADDW", "AVX2"},
	{"VEX.256.66.0F.WIG FE /r", "VPADDD", "AVX2"},
	{"VEX.256.66.0F38.W0 13 /r", "VCVTPH2PS", "F16C"},
	{"VEX.256.66.0F38.W0 18 /r mem", "VBROADCASTSS", "AVX"},
	{"VEX.256.66.0F38.W0 18 /r reg", "VBROADCASTSS from a register", "AVX2"},
	{"VEX.256.66.0F38.WIG 20 /r", "VPMOVSXBW", "AVX2"},
	{"VEX.256.66.0F38.WIG 21 /r", "VPMOVSXBD", "AVX2"},
	{"VEX.256.66.0F38.WIG 30 /r", "VPMOVZXBW", "AVX2"},
	{"VEX.256.66.0F38.WIG 31 /r", "VPMOVZXBD", "AVX2"},
	{"VEX.256.66.0F38.W0 36 /r", "VPERMD", "AVX2"},
	{"VEX.256.66.0F38.WIG 40 /r", "VPMULLD", "AVX2"},
	{"VEX.256.66.0F38.W0 58 /r", "VPBROADCASTD", "AVX2"},
	{"VEX.256.66.0F38.W0 78 /r", "VPBROADCASTB", "AVX2"},
	{"VEX.256.66.0F38.W0 B8 /r", "VFMADD231PS", "FMA3"},
	{"VEX.256.66.0F38.W0 BC /r", "VFNMADD231PS", "FMA3"},
	{"VEX.256.66.0F3A.W0 06 /r ib", "VPERM2F128", "AVX"},
	{"VEX.256.66.0F3A.W0 39 /r ib", "VEXTRACTI128", "AVX2"},

	{"EVEX.128.66.0F.W0 6E /r", "VMOVD", "AVX512F"},
	{"EVEX.512.0F.W0 10 /r", "VMOVUPS", "AVX512F"},
	{"EVEX.512.0F.W0 11 /r", "VMOVUPS", "AVX512F"},
	{"EVEX.512.0F.W0 28 /r", "VMOVAPS", "AVX512F"},
	{"EVEX.512.0F.W0 29 /r", "VMOVAPS", "AVX512F"},
	{"EVEX.512.0F.W0 51 /r", "VSQRTPS", "AVX512F"},
	{"EVEX.512.0F.W0 58 /r", "VADDPS", "AVX512F"},
	{"EVEX.512.0F.W0 59 /r", "VMULPS", "AVX512F"},
	{"EVEX.512.0F.W0 5B /r", "VCVTDQ2PS", "AVX512F"},
	{"EVEX.512.0F.W0 5C /r", "VSUBPS", "AVX512F"},
	{"EVEX.512.0F.W0 5D /r", "VMINPS", "AVX512F"},
	{"EVEX.512.0F.W0 5E /r", "VDIVPS", "AVX512F"},
	{"EVEX.512.0F.W0 5F /r", "VMAXPS", "AVX512F"},
	{"EVEX.512.0F.W0 C2 /r ib", "VCMPPS", "AVX512F"},
	{"EVEX.512.66.0F.W0 5B /r", "VCVTPS2DQ", "AVX512F"},
	{"EVEX.512.66.0F.WIG 67 /r", "VPACKUSWB", "AVX512BW"},
	{"EVEX.512.66.0F.W0 6B /r", "VPACKSSDW", "AVX512BW"},
	{"EVEX.512.66.0F.W0 72 /6 ib", "VPSLLD", "AVX512F"},
	{"EVEX.512.66.0F.WIG DE /r", "VPMAXUB", "AVX512BW"},
	{"EVEX.512.66.0F.WIG ED /r", "VPADDSW", "AVX512BW"},
	{"EVEX.512.66.0F.W0 EF /r", "VPXORD", "AVX512F"},
	{"EVEX.512.66.0F.WIG F5 /r", "VPMADDWD", "AVX512BW"},
	{"EVEX.512.66.0F.W0 FA /r", "VPSUBD", "AVX512F"},
	{"EVEX.512.66.0F.WIG FD /r", "VPADDW", "AVX512BW"},
	{"EVEX.512.66.0F.W0 FE /r", "VPADDD", "AVX512F"},
	{"EVEX.512.66.0F38.W0 13 /r", "VCVTPH2PS", "AVX512F"},
	{"EVEX.512.66.0F38.W0 18 /r", "VBROADCASTSS", "AVX512F"},
	{"EVEX.512.66.0F38.WIG 20 /r", "VPMOVSXBW", "AVX512BW"},
	{"EVEX.512.66.0F38.WIG 21 /r", "VPMOVSXBD", "AVX512F"},
	{"EVEX.512.66.0F38.W0 36 /r", "VPERMD", "AVX512F"},
	{"EVEX.512.66.0F38.W0 40 /r", "VPMULLD", "AVX512F"},
	{"EVEX.512.66.0F38.W0 50 /r", "VPDPBUSD", "AVX512VNNI"},
	{"EVEX.512.66.0F38.W0 52 /r", "VPDPWSSD", "AVX512VNNI"},
	{"EVEX.512.66.0F38.W0 58 /r", "VPBROADCASTD", "AVX512F"},
	{"EVEX.512.66.0F38.W0 B8 /r", "VFMADD231PS", "AVX512F"},
	{"EVEX.512.66.0F38.W0 BC /r", "VFNMADD231PS", "AVX512F"},
	{"EVEX.512.66.0F3A.W0 39 /r ib", "VEXTRACTI32X4", "AVX512F"},
	{"EVEX.512.66.0F3A.W1 3B /r ib", "VEXTRACTI64X4", "AVX512F"},
}

// An amd64Opcode is a row of amd64Instructions, parsed.
type amd64Opcode struct {
	name, feature string
	prefix        string // the VEX or EVEX prefix without W, "" for other instructions
	w             string // "W0", "W1" or "WIG" where there is a prefix
	code          []byte
	modRM         bool   // whether a ModRM byte follows the code
	digit         int    // the middle bits of the ModRM byte, -1 for any
	operand       string // "mem", "reg" or "" for either
	immediate     int    // size in bytes
}

var amd64Opcodes = parseAMD64()

// parseAMD64 parses amd64Instructions.
func parseAMD64() (all []amd64Opcode) {
	for _, i := range amd64Instructions {
		o := amd64Opcode{name: i.name, feature: i.feature, digit: -1}
		for _, field := range strings.Fields(i.encoding) {
			switch {
			case strings.Contains(field, "VEX"):
				dot := strings.LastIndex(field, ".")
				o.prefix, o.w = field[:dot], field[dot+1:]
			case field == "/r":
				o.modRM = true
			case field[0] == '/':
				o.modRM, o.digit = true, int(field[1]-'0')
			case field == "mem" || field == "reg":
				o.operand = field
			case field == "ib" || field == "cb":
				o.immediate = 1
			case field == "id" || field == "cd":
				o.immediate = 4
			default:
				b, err := strconv.ParseUint(field, 16, 8)
				if err != nil {
					panic(fmt.Sprintf("%s: %s", i.encoding, field))
				}
				o.code = append(o.code, byte(b))
			}
		}
		all = append(all, o)
	}
	return all
}

var errTruncated = errors.New("truncated")

// decodeAMD64 returns the first instruction of code.
func decodeAMD64(code []byte) (instruction, error) {
	prefix, w, n, err := decodePrefix(code)
	if err != nil {
		return instruction{}, err
	}
	for _, o := range amd64Opcodes {
		if o.prefix != prefix || o.w != w && o.w != "WIG" && prefix != "" {
			continue
		}
		rest, ok := cutPrefix(code[n:], o.code)
		if !ok {
			continue
		}
		length := len(o.code) + o.immediate
		if o.modRM {
			size, err := modRMSize(rest)
			if err != nil {
				return instruction{}, err
			}
			operand := "mem"
			if rest[0]>>6 == 3 {
				operand = "reg"
			}
			if o.digit >= 0 && int(rest[0]>>3&7) != o.digit || o.operand != "" && o.operand != operand {
				continue
			}
			if strings.HasPrefix(prefix, "EVEX") && operand == "reg" && code[3]>>4&1 == 1 {
				return instruction{}, errors.New("EVEX with a rounding of its own is not what kernels may use")
			}
			length += size
		}
		if len(code) < n+length {
			return instruction{}, errTruncated
		}
		return instruction{o.name, o.feature, n + length}, nil
	}
	if prefix != "" {
		prefix += "." + w + " "
	}
	return instruction{}, fmt.Errorf("%s% X is not an instruction that kernels may use", prefix, code[n:min(n+2, len(code))])
}

// cutPrefix returns what follows prefix in code, and whether code begins with it.
func cutPrefix(code, prefix []byte) ([]byte, bool) {
	if len(code) < len(prefix) || !slices.Equal(code[:len(prefix)], prefix) {
		return nil, false
	}
	return code[len(prefix):], true
}

// decodePrefix returns a VEX or EVEX prefix in the manual's notation ("" for a REX prefix and for
// none), its W bit, and where the opcode begins. Other prefixes are taken for opcodes.
func decodePrefix(code []byte) (prefix, w string, n int, err error) {
	maps := []string{1: "0F", 2: "0F38", 3: "0F3A"}
	implied := []string{"", ".66", ".F3", ".F2"}
	wBit := func(b byte) string { return fmt.Sprintf("W%d", b>>7) }
	switch {
	case code[0]&0xf0 == 0x40:
		n = 1
	case code[0] == 0xc5:
		n = 2
	case code[0] == 0xc4:
		n = 3
	case code[0] == 0x62:
		n = 4
	}
	if len(code) <= n {
		return "", "", 0, errTruncated
	}
	switch code[0] {
	case 0xc5:
		return fmt.Sprintf("VEX.%d%s.0F", 128<<(code[1]>>2&1), implied[code[1]&3]), "W0", n, nil
	case 0xc4:
		m := int(code[1] & 31)
		if m == 0 || m >= len(maps) {
			return "", "", 0, fmt.Errorf("VEX with opcode map %d is not what kernels may use", m)
		}
		return fmt.Sprintf("VEX.%d%s.%s", 128<<(code[2]>>2&1), implied[code[2]&3], maps[m]), wBit(code[2]), n, nil
	case 0x62:
		m := int(code[1] & 15)
		if m == 0 || m >= len(maps) || code[2]&4 == 0 || code[3]>>5&3 == 3 {
			return "", "", 0, fmt.Errorf("EVEX with opcode map %d is not what kernels may use", m)
		}
		return fmt.Sprintf("EVEX.%d%s.%s", 128<<(code[3]>>5&3), implied[code[2]&3], maps[m]), wBit(code[2]), n, nil
	}
	return "", "", n, nil
}

// modRMSize returns the length of a ModRM byte with the SIB byte and the displacement that it
// asks for.
func modRMSize(code []byte) (int, error) {
	if len(code) == 0 {
		return 0, errTruncated
	}
	mod, rm := code[0]>>6, code[0]&7
	if mod == 3 {
		return 1, nil
	}
	size := 1
	base := rm
	if rm == 4 {
		if len(code) < 2 {
			return 0, errTruncated
		}
		size, base = 2, code[1]&7
	}
	switch {
	case mod == 1:
		size++
	case mod == 2 || mod == 0 && base == 5: // without a base, or relative to the instruction
		size += 4
	}
	return size, nil
}

// arm64Instructions are the instructions that arm64 assembly may use, as arm64asm names them.
// arm64asm decodes no form of them that needs more than ASIMD, such as those for half precision.
var arm64Instructions = strings.Fields(`
	ADD ADDS B LDR LDRB LDRH LDRSW LDUR LSL LSR MADD MOV MOVK MUL ORR PRFM RET STR SUB SUBS
	AND DUP EOR FADD FCMEQ FCMGT FCVTL FCVTL2 FCVTNS FDIV FMAX FMIN FMLA FMLS FMOV FMUL FSQRT FSUB LD1R MOVI SCVTF SHL SMLAL SMLAL2 SQADD SQXTN SQXTN2 SQXTUN SQXTUN2 SXTL SXTL2 TBL TRN1 TRN2 UMAX USHLL UXTL UXTL2 UZP1`)

// sdot has the SDOT of 128 bits, which arm64asm does not know: by vector and by element.
var sdot = []struct{ mask, bits uint32 }{{0xffe0fc00, 0x4e809400}, {0xffc0f400, 0x4f80e000}}

// decodeARM64 returns the first instruction of code.
func decodeARM64(code []byte) (instruction, error) {
	if len(code) >= 4 && [4]byte(code) == [4]byte{} {
		return instruction{"padding behind the function", "", 4}, nil
	}
	for _, s := range sdot {
		if len(code) >= 4 && binary.LittleEndian.Uint32(code)&s.mask == s.bits {
			return instruction{"SDOT", "ASIMDDP", 4}, nil
		}
	}
	i, err := arm64asm.Decode(code)
	if err != nil {
		return instruction{}, err
	}
	if !slices.Contains(arm64Instructions, i.Op.String()) {
		return instruction{}, fmt.Errorf("%v is not an instruction that kernels may use", i)
	}
	feature := ""
	for _, arg := range i.Args {
		switch arg := arg.(type) {
		case arm64asm.RegisterWithArrangement, arm64asm.RegisterWithArrangementAndIndex:
			feature = "ASIMD"
		case arm64asm.Reg:
			if arm64asm.B0 <= arg && arg <= arm64asm.V31 {
				feature = "ASIMD"
			}
		}
	}
	return instruction{i.Op.String(), feature, 4}, nil
}
