import pytest

from fmcycle.pii import detect


def spans(text):
    found = []
    detect.replace(text, ["phone"], lambda _, span: found.append(span) or "")
    return found


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("call the paper on 01632 960171 or dial 1530 927 055", ["01632 960171", "1530 927 055"]),
        ("our new mobile number is 07700900123, landline 01632 960710.", ["07700900123", "01632 960710"]),
        ("Contact ; Tél : 01 99 00 20 24 / 02 61 91 57 85", ["01 99 00 20 24", "02 61 91 57 85"]),
        ("Mob. 0491 570 156, Ph. (03) 5550 4101 TEL:03-3555-0199", ["0491 570 156", "(03) 5550 4101", "03-3555-0199"]),
        ("Office 979 555 0102 Pager 1 800 555 0191 (0448)", ["979 555 0102", "1 800 555 0191"]),
        ("Bob\n608 555-0127\nx@example.org", ["608 555-0127"]),
        (
            "Voice : ( 202 ) 555 0139 Fax : 1 ( 202 ) 555 - 0110 , or 800 - 555 - 0133 .",
            ["( 202 ) 555 0139", "1 ( 202 ) 555 - 0110", "800 - 555 - 0133"],
        ),
        ("Phone : + 44 - 7700 900 858 group + 44 20 7946 0866", ["+ 44 - 7700 900 858", "+ 44 20 7946 0866"]),
        ("[1] (202) 555-0146\n[213] (0) 770-08-2000", ["[1] (202) 555-0146", "[213] (0) 770-08-2000"]),
        ("notify us by telephone (713-555-0100), fax (555-0142)", ["713-555-0100", "555-0142"]),
        ("Call 1(800)555-0190 or 800-555-0149 (24 hours)", ["1(800)555-0190", "800-555-0149"]),
        ("电话：010 5555 0123，手机13800138000", ["010 5555 0123", "13800138000"]),
        ("тел. 8 495 555-01-23; هاتف: 0555 012 345", ["8 495 555-01-23", "0555 012 345"]),
    ],
)
def test_numbers_are_found_as_people_write_them(text, numbers):
    assert spans(text) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "inventor of the telephone (1847-1922) and the mobile 2002-08-22; fax on 12-20-2000",
        "h = h * 69069 + 907133923",
        "quantize(Decimal('+35236450.6')), 10 + 100 - 20000 = -19890",
        "The block was made by call #1233329 to malloc",
        "September 11, 2002 Draw Results: 03 06 26 39 48 PB 28",
        "count(10) --> 10 11 12 13 14; cited in [ 11 12 16 18 21 ]; 250 300 2000 400",
        "0000 0010 0100 0110 1000; 200 200 200; 734 000 000; 1344 768 771 777",
        "trained at 384 768 1536, then 320-640-1280 and 300 600 1200 pixels",
        "a hidden size of 257 511 1023; layers: 333 444 5555; tensor [241 322 1021]",
        "driver version 535.729.1234, part no. 415-555-2671, invoice #312-555-0164",
        "arn 10.3109/10903127.2011.616261, 2002082999999999901, ISBN 0-917027-03-5",
    ],
)
def test_what_only_looks_like_a_number_stays(text):
    assert spans(text) == []
