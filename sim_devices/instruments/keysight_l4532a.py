"""Keysight L4532A: two-channel digitiser (16 bit, 20 MSa/s, 32 MSa a channel).

Command set after the "L4532A and L4534A User's Guide" as public drivers use it (PyMeasure's Agilent L4532A/L4534A draft among them).
Square brackets are optional, upper case is the short form, "(?)" has a query form too, (@1,2) is a channel list.

    *IDN? *RST *CLS *OPC *OPC? *WAI *ESE(?) *ESR? *SRE(?) *STB? *TST? *TRG
    SYSTem:ERRor[:NEXT]?                      -113,"Undefined header"   |   +0,"No error"      (20 entries, then -350)
    SYSTem:VERSion?
    CONFigure:ACQuisition[:ATTRibutes] <rate>,<samples>[,<pre>[,<records>[,<holdoff>[,<delay>]]]](?)
    CONFigure:ACQuisition:SRATe <Sa/s>(?)     1, 2 or 5 times 10^n from 1e3 to 20e6, else -224; answer +5000
    CONFigure:ACQuisition:SCOunt <n>(?)       samples a record: 8 .. SCO:MAX?, a MULTIPLE OF 4, else -224 (outside: -222)
    CONFigure:ACQuisition:SCOunt:MAXimum?     samples a record with the present number of records (32,000,000 in all)
    CONFigure:ACQuisition:SPRetrigger <n>(?)  samples before the trigger: 0 .. samples - 4, a multiple of 4
    CONFigure:ACQuisition:RECords <n>(?)      1 .. 1024; each record takes one trigger
    CONFigure:ACQuisition:THOLdoff <s>(?)     0 .. 10       CONFigure:ACQuisition:TDELay <s>(?)  0 .. 3600
    CONFigure:CHANnel[:ATTRibutes] (@<ch>),<range>,<coupling>,<filter>     CONFigure:CHANnel[:ATTRibutes]? (@<ch>)
    CONFigure:CHANnel:RANGe (@<ch>),<V>       CONFigure:CHANnel:RANGe? (@<ch>)       0.25 0.5 1 2 4 8 16 32 128 256, else -224
    CONFigure:CHANnel:COUPling (@<ch>),{DC|AC}     ...? (@<ch>)
    CONFigure:CHANnel:FILTer (@<ch>),{LP_20_MHZ|LP_2_MHZ|LP_200_KHZ}     ...? (@<ch>)
    CONFigure:TRIGger:SOURce {IMMediate|SOFTware|EXTernal|CHANnel|OR}(?)        CHAN and OR are refused here (-221)
    CONFigure:ARM:SOURce {IMMediate|SOFTware|EXTernal|TIMer}[,<triggers per arm>](?)    answer IMM,1024; EXT and TIM refused (-221)
    CONFigure:EXTernal:INPut {POSitive|NEGative}(?)       CONFigure:ROSCillator {INTernal|EXTernal}(?)
    INITiate[:IMMediate]                      leaves idle: waits for arm, then for triggers; -213 if already running
    ARM[:IMMediate]                           software arm          TRIGger[:IMMediate], *TRG   software trigger
    ABORt                                     back to idle; what was measured can still be fetched
    FORMat[:DATA]:INTeger {INTeger|ASCii}(?)  how FETC:WAV:ADC? answers: block of int16 (default) or +1,-2,...
    FORMat[:DATA]:REAL {REAL,32|REAL,64|ASCii[,<digits>]}(?)   how FETC:WAV:VOLT? answers: block of float (default REAL,32) or text
    FORMat:BORDer {NORMal|SWAPped}(?)         NORM = most significant byte first (default), SWAP = little endian
    FETCh:WAVeform[:DATA]:VOLTage? (@<ch>)[,<offset>,<count>[,(@<first>:<last>)]]     volts
    FETCh:WAVeform[:DATA]:ADC? (@<ch>)[,<offset>,<count>[,(@<first>:<last>)]]         counts, volts = counts / 32767 * range
    FETCh:WAVeform:ACQuisition:PREamble?      <record>,<samples>,<pre-trigger samples>,{NOIN|RUN|NORM|ABOR}
    READ:WAVeform[:DATA]:VOLTage? / :ADC? ... INIT, wait for the end, FETC
    STATus:OPERation:CONDition? [MTHR]        bit 4 (16) measuring, bit 5 (32) waiting for trigger, bit 6 (64) waiting for arm,
                                              bit 8 (256, MTHR) data can be fetched; with MTHR the answer is +1 or +0
    STATus:OPERation[:EVENt]? / :ENABle(?)    STATus:QUEStionable:CONDition? / [:EVENt]? / :ENABle(?)     STATus:PRESet
    CALibration:ZERO:AUTO? (@<ch>)            +0          DISPlay:TEXT "<text>"(?)     DISPlay:TEXT:CLEar

What a driver must know
- Both channels are always recorded. After *RST: 1e6 Sa/s, 1024 samples, 0 pre-trigger, 1 record, range 256 V DC LP_20_MHZ, TRIG:SOUR IMM, ARM:SOUR IMM, FORM:BORD NORM.
- Sample k of a record is taken k / rate after the trigger (+ TDEL); sample 0 is the state at the trigger. <offset> counts from the trigger, so pre-trigger samples are
  fetched with a negative offset (-pre .. ). Without <offset>,<count> the whole record comes. Several channels come interleaved, sample by sample.
- INIT is an overlapped command: *OPC? answers 1 when the acquisition is over; it waits for a trigger as long as that does not come (then open a second
  connection and ABOR, or poll STAT:OPER:COND?). The sequence of a buffered play: INIT here, *OPC? NOT yet, *TRG at the generator, *OPC? here, FETC.
- PREamble?: the record now being filled (from 1) and how many of its samples are there, so it counts while a play runs; samples that are there may be fetched
  before the end. Samples that are not: -230,"Data corrupt or stale". NOIN: nothing since *RST.
- An input beyond its range is clipped to +-32767 counts: treat a sample at full scale as overloaded. It also sets bit ch-1 in STAT:QUES.
- CONF commands while a measurement runs: -213,"Init ignored" for INIT, -221,"Settings conflict" for the rest; nothing changes.
"""
