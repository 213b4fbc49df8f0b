/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The board as ACPI sees it (ACPI 2.0, chapters 5 to 7): PCI routing, sleep states, what sits on the ISA bus, and the
 * hot-plug blocks of piix4_pm.c. SeaBIOS reads it too, for the keyboard and mouse controller, with a small parser that knows
 * names, methods and devices: other terms stand inside of methods only. Goes through cpp, then iasl. acpi.c fills in the names of four letters below.
 */
DefinitionBlock ("", "DSDT", 1, "HVMDM", "HVMDSDT", 1)
{
    /* Of this length in AML, whatever their value. */
    Name (PWLO, 0x11111111)  /* the PCI window below 4 GiB: first byte ... */
    Name (PWHI, 0x22222222)  /* ... and last */
    Name (PRTS, 0x33333333)  /* what is there: bit 0-3 COM1-4, bit 4 LPT1, bit 5 floppies */
    Name (NCPU, 0x44444444)  /* processors that there may be */

    Name (\_S3, Package () { 1, 1, 0, 0 })
    Name (\_S5, Package () { 0, 0, 0, 0 })

    Scope (\_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_ADR, Zero)
            Name (_UID, Zero)
            Name (WIND, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 0xFF, 0, 0x100)
                IO (Decode16, 0x0CF8, 0x0CF8, 1, 8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0000, 0x0CF7, 0, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0x0D00, 0xADFF, 0, 0xA100)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0xAE10, 0xAEFF, 0, 0x00F0)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0xAF20, 0xAFDF, 0, 0x00C0)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0xAFE4, 0xFFFF, 0, 0x501C)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite, 0, 0x000A0000,
                             0x000BFFFF, 0, 0x00020000)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite, 0, 0xE0000000,
                             0xFEBFFFFF, 0, 0x1EC00000, , , LOWW)
            })
            Method (_CRS, 0, Serialized)
            {
                CreateDWordField (WIND, \_SB.PCI0.LOWW._MIN, WMIN)
                CreateDWordField (WIND, \_SB.PCI0.LOWW._MAX, WMAX)
                CreateDWordField (WIND, \_SB.PCI0.LOWW._LEN, WLEN)
                Store (PWLO, WMIN)
                Store (PWHI, WMAX)
                Add (Subtract (PWHI, PWLO), 1, WLEN)
                Return (WIND)
            }

            /* INTA of slot 1 is PIRQA's, and so on round; the power management function's interrupt is the SCI. */
#define SLOT(n, a, b, c, d)                                                                                            \
    Package () { n##FFFF, 0, a, 0 }, Package () { n##FFFF, 1, b, 0 }, Package () { n##FFFF, 2, c, 0 },                 \
    Package () { n##FFFF, 3, d, 0 },
#define FOUR(k, l, m, n)                                                                                               \
    SLOT (0x##k, LNKD, LNKA, LNKB, LNKC) SLOT (0x##l, LNKA, LNKB, LNKC, LNKD)                                          \
    SLOT (0x##m, LNKB, LNKC, LNKD, LNKA) SLOT (0x##n, LNKC, LNKD, LNKA, LNKB)
            Name (_PRT, Package ()
            {
                SLOT (0x0001, LNKS, LNKB, LNKC, LNKD)
                SLOT (0x0002, LNKB, LNKC, LNKD, LNKA)
                SLOT (0x0003, LNKC, LNKD, LNKA, LNKB)
                FOUR (0004, 0005, 0006, 0007) FOUR (0008, 0009, 000A, 000B) FOUR (000C, 000D, 000E, 000F)
                FOUR (0010, 0011, 0012, 0013) FOUR (0014, 0015, 0016, 0017) FOUR (0018, 0019, 001A, 001B)
                FOUR (001C, 001D, 001E, 001F)
            })

            Device (ISA)
            {
                Name (_ADR, 0x00010000)
                OperationRegion (PIRQ, PCI_Config, 0x60, 4)
                Field (PIRQ, ByteAcc, NoLock, Preserve)
                {
                    PRQA, 8,
                    PRQB, 8,
                    PRQC, 8,
                    PRQD, 8
                }

                Device (RTC)
                {
                    Name (_HID, EisaId ("PNP0B00"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0070, 0x0070, 1, 8)
                        IRQNoFlags () { 8 }
                    })
                }
                Device (TMR)
                {
                    Name (_HID, EisaId ("PNP0100"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0040, 0x0040, 0, 4)
                        IRQNoFlags () { 0 }
                    })
                }
                Device (SPKR)
                {
                    Name (_HID, EisaId ("PNP0800"))
                    Name (_CRS, ResourceTemplate () { IO (Decode16, 0x0061, 0x0061, 1, 1) })
                }
                Device (DMAC)
                {
                    Name (_HID, EisaId ("PNP0200"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0000, 0x0000, 0, 16)
                        IO (Decode16, 0x0081, 0x0081, 0, 15)
                        IO (Decode16, 0x00C0, 0x00C0, 0, 32)
                        DMA (Compatibility, BusMaster, Transfer8, ) { 4 }
                    })
                }
                Device (KBD)
                {
                    Name (_HID, EisaId ("PNP0303"))
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0060, 0x0060, 1, 1)
                        IO (Decode16, 0x0064, 0x0064, 1, 1)
                        IRQNoFlags () { 1 }
                    })
                }
                Device (MOU)
                {
                    Name (_HID, EisaId ("PNP0F13"))
                    Name (_CRS, ResourceTemplate () { IRQNoFlags () { 12 } })
                }
                Device (FDC0)
                {
                    Name (_HID, EisaId ("PNP0700"))
                    Method (_STA) { If (And (PRTS, 0x20)) { Return (0x0F) } Return (0) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x03F2, 0x03F2, 0, 4)
                        IO (Decode16, 0x03F7, 0x03F7, 0, 1)
                        IRQNoFlags () { 6 }
                        DMA (Compatibility, NotBusMaster, Transfer8, ) { 2 }
                    })
                }
                Device (LPT1)
                {
                    Name (_HID, EisaId ("PNP0400"))
                    Method (_STA) { If (And (PRTS, 0x10)) { Return (0x0F) } Return (0) }
                    Name (_CRS, ResourceTemplate ()
                    {
                        IO (Decode16, 0x0378, 0x0378, 8, 8)
                        IRQNoFlags () { 7 }
                    })
                }
#define SERIAL(name, uid, bit, port, irq)                                                                              \
    Device (name)                                                                                                      \
    {                                                                                                                  \
        Name (_HID, EisaId ("PNP0501"))                                                                                \
        Name (_UID, uid)                                                                                               \
        Method (_STA) { If (And (PRTS, bit)) { Return (0x0F) } Return (0) }                                            \
        Name (_CRS, ResourceTemplate () { IO (Decode16, port, port, 0, 8) IRQNoFlags () { irq } })                     \
    }
                SERIAL (COM1, 1, 1, 0x03F8, 4)
                SERIAL (COM2, 2, 2, 0x02F8, 3)
                SERIAL (COM3, 3, 4, 0x03E8, 4)
                SERIAL (COM4, 4, 8, 0x02E8, 3)
            }

            /* The power management block and the hot-plug blocks belong to nobody else. */
            Device (RSVD)
            {
                Name (_HID, EisaId ("PNP0C02"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0xAE00, 0xAE00, 1, 0x10)
                    IO (Decode16, 0xAF00, 0xAF00, 1, 0x20)
                    IO (Decode16, 0xAFE0, 0xAFE0, 1, 0x04)
                    IO (Decode16, 0x00B2, 0x00B2, 1, 0x02)
                })
            }

            /* ---- PCI hot-plug ---- */
            OperationRegion (PCST, SystemIO, 0xAE00, 0x10)
            Field (PCST, DWordAcc, NoLock, WriteAsZeros)
            {
                PCIU, 32,
                PCID, 32,
                PCIE, 32,
                PCIR, 32
            }
            Mutex (PCLK, 0)
            Method (PCEJ, 1, Serialized)
            {
                Acquire (PCLK, 0xFFFF)
                Store (ShiftLeft (One, Arg0), PCIE)
                Release (PCLK)
            }
            Method (PCNS, 1)
            {
                If (And (PCIR, ShiftLeft (One, Arg0))) { Return (One) }
                Return (Zero)
            }
#define HOTPLUG(n)                                                                                                     \
    Device (S##n)                                                                                                      \
    {                                                                                                                  \
        Name (_ADR, 0x00##n##0000)                                                                                     \
        Name (_SUN, 0x##n)                                                                                             \
        Method (_EJ0, 1) { PCEJ (0x##n) }                                                                              \
    }
#define NOTIFY(n)                                                                                                      \
    If (And (Arg0, ShiftLeft (One, 0x##n))) { Notify (S##n, Arg1) }
#define SLOTS(m) m (03) m (04) m (05) m (06) m (07) m (08) m (09) m (0A) m (0B) m (0C) m (0D) m (0E) m (0F) m (10)     \
        m (11) m (12) m (13) m (14) m (15) m (16) m (17) m (18) m (19) m (1A) m (1B) m (1C) m (1D) m (1E) m (1F)
            SLOTS (HOTPLUG)
            Method (PCNF, 2) { SLOTS (NOTIFY) }
            Method (PCNT, 0, Serialized)
            {
                Acquire (PCLK, 0xFFFF)
                PCNF (PCIU, 1)
                PCNF (PCID, 3)
                Release (PCLK)
            }
        }

        /* ---- interrupt links ---- */
        Method (PSTA, 1)
        {
            If (And (Arg0, 0x80)) { Return (0x09) }
            Return (0x0B)
        }
        Name (PIRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared, , , CIRQ) { 0 } })
        Method (PCRS, 1, Serialized)
        {
            CreateDWordField (PIRS, \_SB.CIRQ._INT, IRQV)
            If (And (Arg0, 0x80)) { Store (Zero, IRQV) } Else { Store (And (Arg0, 0x0F), IRQV) }
            Return (PIRS)
        }
#define LINK(name, uid, reg)                                                                                           \
    Device (name)                                                                                                      \
    {                                                                                                                  \
        Name (_HID, EisaId ("PNP0C0F"))                                                                                \
        Name (_UID, uid)                                                                                               \
        Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 5, 10, 11 } })     \
        Method (_STA) { Return (PSTA (\_SB.PCI0.ISA.reg)) }                                                            \
        Method (_DIS) { Or (\_SB.PCI0.ISA.reg, 0x80, \_SB.PCI0.ISA.reg) }                                              \
        Method (_CRS) { Return (PCRS (\_SB.PCI0.ISA.reg)) }                                                            \
        Method (_SRS, 1)                                                                                               \
        {                                                                                                              \
            CreateDWordField (Arg0, 5, CHSN)                                                                           \
            Store (CHSN, \_SB.PCI0.ISA.reg)                                                                            \
        }                                                                                                              \
    }
        LINK (LNKA, 0, PRQA)
        LINK (LNKB, 1, PRQB)
        LINK (LNKC, 2, PRQC)
        LINK (LNKD, 3, PRQD)
        Device (LNKS)
        {
            Name (_HID, EisaId ("PNP0C0F"))
            Name (_UID, 4)
            Name (_PRS, ResourceTemplate () { Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) { 9 } })
            Method (_STA) { Return (0x0B) }
            Method (_DIS) { }
            Method (_CRS) { Return (_PRS) }
            Method (_SRS, 1) { }
        }

        /* ---- processors: a bit for each that runs; the MADT has their APIC ids ---- */
        OperationRegion (PRST, SystemIO, 0xAF00, 32)
        Field (PRST, ByteAcc, NoLock, Preserve) { PRS, 256 }
        Method (CPBT, 1, Serialized)
        {
            Store (PRS, Local0)
            Store (DerefOf (Index (Local0, ShiftRight (Arg0, 3))), Local1)
            Return (And (ShiftRight (Local1, And (Arg0, 7)), 1))
        }
        Method (CPST, 1)
        {
            If (LLess (Arg0, NCPU)) { If (CPBT (Arg0)) { Return (0x0F) } }
            Return (Zero)
        }
#define CPU(n)                                                                                                         \
    Processor (C0##n, 0x##n, 0, 0)                                                                                     \
    {                                                                                                                  \
        Method (_STA) { Return (CPST (0x##n)) }                                                                        \
    }
#define CPUN(n)                                                                                                        \
    If (CPBT (0x##n)) { Notify (C0##n, 1) }
#define CPUS(m) m (00) m (01) m (02) m (03) m (04) m (05) m (06) m (07) m (08) m (09) m (0A) m (0B) m (0C) m (0D)      \
        m (0E) m (0F) m (10) m (11) m (12) m (13) m (14) m (15) m (16) m (17) m (18) m (19) m (1A) m (1B) m (1C)       \
        m (1D) m (1E) m (1F)
        CPUS (CPU)
        Method (PRSC, 0, Serialized) { CPUS (CPUN) }
    }

    Scope (\_GPE)
    {
        Name (_HID, "ACPI0006")
        Method (_E01) { \_SB.PCI0.PCNT () }
        Method (_E02) { \_SB.PRSC () }
    }
}
