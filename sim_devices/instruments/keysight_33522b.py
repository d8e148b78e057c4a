"""Keysight 33522B: two-channel arbitrary-waveform generator (16 bit, 1e6 points a channel).

Command set after the "33500 Series Operating and Service Guide" (Agilent/Keysight). Square brackets are optional,
<ch> is 1 or 2 (1 when left out), upper case is the short form, "(?)" has a query form too.

    *IDN? *RST *CLS *OPC *OPC? *WAI *ESE(?) *ESR? *SRE(?) *STB? *TST? *TRG
    SYSTem:ERRor[:NEXT]?                      -113,"Undefined header"   |   +0,"No error"      (20 entries, then -350)
    SYSTem:VERSion?                           1999.0
    STATus:OPERation:CONDition? / [:EVENt]? / :ENABle(?)     bit 5 (32): a channel is waiting for its trigger; bit 4 (16): playing
    STATus:QUEStionable:CONDition? / [:EVENt]? / :ENABle(?)    STATus:PRESet
    FORMat:BORDer {NORMal|SWAPped}(?)         NORM = most significant byte first (the default), SWAP = little endian
    [SOURce<ch>:]DATA:VOLatile:CLEar          forgets the channel's waveforms; needed before a name is used again
    [SOURce<ch>:]DATA:VOLatile:CATalog?       "EXP_RISE","drive1"
    [SOURce<ch>:]DATA:VOLatile:FREE?          points left on this channel (1,000,000 in all)
    [SOURce<ch>:]DATA:ARBitrary[<ch>] <name>,{<block of float32>|<v>,<v>,...}       each -1..1; 8 points to 1e6
    [SOURce<ch>:]DATA:ARBitrary[<ch>]:DAC <name>,{<block of int16>|<n>,<n>,...}     each -32767..32767
    [SOURce<ch>:]DATA:ATTRibute:POINts? [<name>]
    [SOURce<ch>:]FUNCtion {SINusoid|SQUare|ARB|DC}(?)
    [SOURce<ch>:]FUNCtion:ARBitrary {<name>|"<name>"}(?)      answer is quoted
    [SOURce<ch>:]FUNCtion:ARBitrary:SRATe <Sa/s>(?)           1e-6 .. 250e6
    [SOURce<ch>:]FUNCtion:ARBitrary:FILTer {NORMal|STEP|OFF}(?)      OFF: sample and hold, at most 62.5e6 Sa/s
    [SOURce<ch>:]FREQuency <Hz>(?)
    [SOURce<ch>:]VOLTage[:LEVel][:IMMediate][:AMPlitude] <Vpp>(?)    1 mVpp .. 10 Vpp into 50 ohm, doubled into INF
    [SOURce<ch>:]VOLTage[:LEVel][:IMMediate]:OFFSet <V>(?)           |offset| + Vpp/2 <= 5 V into 50 ohm, 10 V into INF
    [SOURce<ch>:]VOLTage:UNIT VPP(?)
    [SOURce<ch>:]VOLTage:LIMit:HIGH <V>(?)    [SOURce<ch>:]VOLTage:LIMit:LOW <V>(?)   [SOURce<ch>:]VOLTage:LIMit:STATe <bool>(?)
    [SOURce<ch>:]BURSt:STATe <bool>(?)        [SOURce<ch>:]BURSt:MODE {TRIGgered}(?)  [SOURce<ch>:]BURSt:NCYCles <n>(?)  1..1e8
    [SOURce<ch>:]BURSt:PHASe 0(?)
    TRIGger<ch>:SOURce {IMMediate|EXTernal|TIMer|BUS}(?)      TRIGger<ch>[:IMMediate]      ABORt
    OUTPut<ch>[:STATe] <bool>(?)              OUTPut<ch>:LOAD {<ohm>|INFinity|MINimum|MAXimum}(?)    9.9E+37 is INF
    OUTPut:SYNC[:STATe] <bool>(?)             OUTPut:SYNC:SOURce {CH1|CH2}(?)
    OUTPut:TRIGger[:STATe] <bool>(?)          OUTPut:TRIGger:SOURce {CH1|CH2}(?)

Numbers come back as +1.000000000000000E+00, integers as +1, booleans as 0 or 1.

What a driver must know
- After *RST: FUNC SIN, 1 kHz, 100 mVpp, 0 V offset, OUTP OFF, OUTP:LOAD 50, TRIG:SOUR IMM, BURS:STAT OFF, SYNC ON from CH1, FORM:BORD NORM,
  waveform memory empty but for the built-in EXP_RISE.
- With OUTP:LOAD 50 and a high-impedance device the terminal carries TWICE the displayed voltage: set OUTP:LOAD INF first.
- A set-point is FUNC DC with VOLT:OFFS. DC ignores VOLT; bursts do not exist for DC (-221).
- A play: FUNC:ARB, FUNC:ARB:SRAT, VOLT, VOLT:OFFS, FUNC ARB, BURS:MODE TRIG, BURS:NCYC n, TRIG:SOUR BUS, BURS:STAT ON, OUTP ON, then *TRG. *TRG
  starts ALL channels that wait for a bus trigger, at the same instant; TRIG<ch> starts one. With nothing waiting: -211.
- Value w of a waveform gives VOLT:OFFS + w * VOLT / 2, rounded to 1/32767 of VOLT / 2.
- Before a burst, and after it, an enabled channel rests at the FIRST point of its waveform (the level of the starting phase), not at the last.
- The sync output starts the digitiser: OUTP:SYNC:SOUR must name a channel that plays (or OUTP:TRIG ON with OUTP:TRIG:SOUR).
- *OPC? and *WAI wait until all bursts are over (not for a trigger that has not come). ABOR ends bursts; output returns to rest.
- A number outside its range is moved to the nearest limit AND reported: -222,"Data out of range; value clipped to upper limit" (or lower);
  amplitude and offset that do not fit together or within VOLT:LIM: the newer one wins, the other is changed, -221,"Settings conflict; ...";
  if VOLT:LIM:STAT is ON and the newer one alone breaks the limits it is refused with -222. Read settings back.
- Errors of waveforms: +785 "Specified arb waveform does not exist", +786 "Specified arb waveform already exists",
  +781 "Not enough memory to load arb waveform", -222 for a value outside -1..1, -161 for a block whose length does not fit.
"""
