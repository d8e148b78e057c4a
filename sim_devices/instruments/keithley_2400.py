"""Keithley 2400: source-measure unit on a serial line (57600 baud, 8N1, terminator CR, LF or CRLF; answers end with LF).

Command set after the "2400 Series SourceMeter User's Manual" and what PyMeasure's Keithley2400 sends. Square brackets are optional,
upper case is the short form, "(?)" has a query form too. Bytes 0x03 and 0x18 clear input and output (device clear).

    *IDN? *RST *CLS *OPC *OPC? *WAI *ESE(?) *ESR? *SRE(?) *STB? *TST? *TRG *OPT?
    SYSTem:ERRor[:NEXT]?  STATus:QUEue[:NEXT]?  SYSTem:ERRor:COUNt?   -113,"Undefined header"   |   0,"No error"   (10 entries, then -350)
    SYSTem:ERRor:ALL?   SYSTem:CLEar   SYSTem:VERSion?
    OUTPut[:STATe] <bool>(?)                  OUTPut:SMODe {HIMPedance|NORMal|ZERO|GUARd}(?)
    SOURce:FUNCtion[:MODE] {VOLTage|CURRent}(?)          VOLT
    SOURce:VOLTage:MODE {FIXed}(?)            SOURce:CURRent:MODE {FIXed}(?)
    SOURce:VOLTage[:LEVel][:IMMediate][:AMPlitude] <V>(?)      -210 .. 210
    SOURce:CURRent[:LEVel][:IMMediate][:AMPlitude] <A>(?)      -1.05 .. 1.05
    SOURce:VOLTage:RANGe {<V>|UP|DOWN}(?)     SOURce:VOLTage:RANGe:AUTO <bool>(?)       ranges 0.2 2 20 200 V
    SOURce:CURRent:RANGe <A>(?)               SOURce:CURRent:RANGe:AUTO <bool>(?)       ranges 1e-6 .. 1 A by tens
    SOURce:VOLTage:PROTection[:LEVel] <V>(?)  SOURce:DELay <s>(?)   SOURce:DELay:AUTO <bool>(?)   SOURce:CLEar:AUTO <bool>(?)
    SENSe:FUNCtion[:ON] "CURR"[,"VOLT"]       also 'CURR:DC', "VOLT:DC", "RES";     SENSe:FUNCtion[:ON]?   SENSe:FUNCtion:OFF   ...:ALL   ...:OFF:ALL
    SENSe:FUNCtion:CONCurrent <bool>(?)
    SENSe:CURRent[:DC]:PROTection[:LEVel] <A>(?)   -1.05 .. 1.05        SENSe:CURRent[:DC]:PROTection:TRIPped?   0 | 1
    SENSe:VOLTage[:DC]:PROTection[:LEVel] <V>(?)   -210 .. 210          SENSe:VOLTage[:DC]:PROTection:TRIPped?
    SENSe:CURRent[:DC]:RANGe[:UPPer] <A>(?)        SENSe:CURRent[:DC]:RANGe:AUTO <bool>(?)        SENSe:CURRent[:DC]:NPLCycles <n>(?)  0.01 .. 10
    SENSe:VOLTage[:DC]:RANGe[:UPPer] <V>(?)        SENSe:VOLTage[:DC]:RANGe:AUTO <bool>(?)        SENSe:VOLTage[:DC]:NPLCycles <n>(?)
    SENSe:RESistance:MODE {AUTO|MANual}(?)    :RANGe(?) :RANGe:AUTO(?) :NPLCycles(?)
    SENSe:AVERage[:STATe] <bool>(?)           SENSe:AVERage:COUNt <n>(?)  1 .. 100      SENSe:AVERage:TCONtrol {REPeat|MOVing}(?)
    FORMat:ELEMents <item>,...(?)             of VOLTage CURRent RESistance TIME STATus     FORMat[:DATA] {ASCii}(?)
    READ?   MEASure[:CURRent|:VOLTage|:RESistance][:DC]?   INITiate[:IMMediate]   FETCh?   ABORt
    ARM:COUNt(?) ARM:SOURce(?) ARM:TIMer(?) ARM:OUTPut(?) ARM:ILINe(?) ARM:OLINe(?)
    TRIGger:COUNt(?) TRIGger:DELay(?) TRIGger:SOURce(?) TRIGger:OUTPut(?) TRIGger:ILINe(?) TRIGger:OLINe(?) TRIGger:CLEar
    TRACe:CLEar  TRACe:POINts(?)  TRACe:POINts:ACTual?  TRACe:FEED(?)  TRACe:FEED:CONTrol {NEXT|NEVer}(?)  TRACe:DATA?
    CALCulate3:FORMat {MEAN|SDEViation|MAXimum|MINimum|PKPK}(?)   CALCulate3:DATA?
    STATus:PRESet   STATus:MEASurement:CONDition? / [:EVENt]? / :ENABle(?)     STATus:OPERation / QUEStionable likewise
    SYSTem:AZERo[:STATe] {ON|OFF|ONCE}(?)     SYSTem:RSENse <bool>(?)   SYSTem:LFRequency {50|60}(?)   SYSTem:LFRequency:AUTO <bool>(?)
    SYSTem:BEEPer[:IMMediate] <Hz>,<s>        SYSTem:BEEPer:STATe(?)    SYSTem:KEY? SYSTem:LOCal SYSTem:REMote
    DISPlay:ENABle <bool>(?)                  ROUTe:TERMinals {FRONt|REAR}(?)

Numbers come back as +1.000000E-01; a measurement is the FORM:ELEM items, by default +1.000000E-01,+1.000000E-05,+9.910000E+37,+1.234000E+00,+2.147600E+04
(voltage, current, resistance, time, status), 9.91E37 where nothing was measured.

What a driver must know
- After *RST: source VOLT, 0 V, autorange on, compliance 105 uA, measuring "VOLT:DC","CURR:DC", OUTP OFF.
- The read-back of a source level is the level as programmed, rounded to the range's resolution (5 uV on 0.2 V, 50 uV on 2 V, ...).
- READ? and MEAS? with the output OFF: -803,"Not permitted with OUTPUT off" (unless SOUR:CLE:AUTO ON switches it on for the measurement). MEAS:CURR? configures, then READ?.
- A value outside its range is refused with -222,"Parameter data out of range" and nothing changes.
- The terminals see the device's port: 10 kOhm (load_ohm). In compliance the voltage is what the limit allows, and PROT:TRIP? is 1.
- With SYST:RSEN ON and sense terminals wired in the bench file, the voltage is that of the sense terminals (how a response is read in stepped use).
"""
