"""Messages of people who attack whoever reads them. A reader must show them inert and whole."""

from __future__ import annotations

# (sender, text): either may be the weapon.
HOSTILE: tuple[tuple[str, str], ...] = (
    ("<script>alert(1)</script>", "Your code is 492817 <script>document.title='owned'</script>"),
    ("Bank", "<img src=x onerror=\"document.title='owned'\"> Code 118822"),
    ("{{7*7}}", "{{7*7}} {% debug %} ${7*7} #{7*7} <%= 7*7 %> code 774411"),
    (
        "javascript:alert(1)",
        "Verify here: javascript:alert(document.cookie) or https://evil.example/?c=331190",
    ),
    ("hx", '<div hx-get="/accounts/logout/" hx-trigger="load" hx-target="body">code 556677</div>'),
    ('hx" hx-get="/admin/" hx-trigger="load', "Sender breaks out of an attribute, code 909012"),
    ("'; DROP TABLE sms; --", "Robert'); DROP TABLE students;-- code 102938"),
    ('=HYPERLINK("http://evil.example")', "=cmd|' /C calc'!A0 your code 440055"),
    ("+1+1", "@SUM(1+1)*cmd|' /C calc'!A0\t-2+3"),
    ("\u202eknaB\u202c", "\u202e719428 si edoc ruoY\u202c \u2066\u2067\u200f left or right? 824917"),
    ("NUL\x00sender", "before\x00after NUL, code 650\x00321, bell \x07 escape \x1b[31mred\x1b[0m"),
    (
        "\U0001f469\u200d\U0001f4bb",
        (
            "\U0001f511\U0001f512 \U0001f469\U0001f3fd\u200d\U0001f680 Your code: "
            "1\ufe0f\u20e32\ufe0f\u20e33\ufe0f\u20e34\ufe0f\u20e3 or 1234 \U0001f1e9\U0001f1ea"
        ),
    ),
    (
        "Z\u0351\u036b\u0343\u036a\u0302a\u034c\u0346\u0302l\u0357\u0310g\u0305\u0309o",
        (
            "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d"
            "a\u034c\u0346\u0302\u0300l\u0357\u0310\u034a\u0343g\u0305\u0309\u0302o\u0313\u0308 code 777123"
        ),
    ),
    ("Spaces", "   leading, trailing and \u00a0 hard \u200b zero-width spaces 48\u200b19\u200b22   \n\n\n"),
    ("]]>", "]]></textarea></title></style><!-- --> &lt;b&gt; &amp;#60; &quot; code 303030"),
    ("a\r\nSet-Cookie: x=1", "line one\r\nline two\rline three\u2028line four\u2029line five 606060"),
    ("", ""),
    ("W" * 300, "A sender of three hundred letters and one word: " + "x" * 600 + " 121212"),
    ("Long", ("Ten thousand characters. " * 400)[:9989] + " 987654 ..."),
)
