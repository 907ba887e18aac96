"""What services and carriers write, by language.

`{code}`, `{service}`, `{minutes}`, `{name}` and `{amount}` are filled in.
"""

from __future__ import annotations

# Codes by language; the same language also serves people who live elsewhere.
CODES: dict[str, tuple[str, ...]] = {
    "de": (
        "Dein {service}-Bestätigungscode lautet {code}. Gib ihn nicht weiter.",
        "{code} ist Ihr Sicherheitscode für {service}. Er läuft in {minutes} Minuten ab.",
        "Ihr {service} Code: {code}. Bitte geben Sie diesen Code niemandem, auch nicht unserem Kundendienst.",
        "TAN {code} für Ihre Anmeldung bei {service}, gültig {minutes} Min.",
    ),
    "en": (
        "Your {service} code is {code}. Do not share it with anyone.",
        "{code} is your {service} verification code.",
        "{service}: use {code} to verify your account. Expires in {minutes} minutes.",
        "Use {code} as your security code for {service}. Didn't ask for it? Ignore this message.",
        "<#> {code} is your {service} code\nFA+9qCX9VSu",
        "Your verification code is {code}. Never tell it to anyone, not even to us on 0800 123 4567.",
        "{service} passcode {code}\n@login.example.com #{code}",
    ),
    "pl": (
        "Twój kod weryfikacyjny {service} to {code}. Nie udostępniaj go nikomu.",
        "Kod: {code}. Wpisz go w aplikacji {service}. Ważny {minutes} min.",
        "{service}: {code} to jednorazowe hasło do zatwierdzenia zakupu na kwotę {amount} zł.",
    ),
    "cs": (
        "Váš ověřovací kód pro {service} je {code}. Nikomu ho nesdělujte.",
        "{code} je váš kód {service}. Platí {minutes} minut.",
        "{service}: přihlašovací kód {code}. Pokud jste o něj nežádali, zprávu ignorujte.",
    ),
    "pt": (
        "O seu código de verificação {service} é {code}. Não o partilhe.",
        "{service}: {code} é o seu código. Válido durante {minutes} minutos.",
        "Use o código {code} para confirmar a sua conta {service}.",
    ),
    "lt": (
        "Jūsų {service} patvirtinimo kodas: {code}. Niekam jo nesakykite.",
        "{code} – jūsų {service} kodas. Galioja {minutes} min.",
        "{service}: prisijungimo kodas {code}. Jei to neprašėte, nekreipkite dėmesio.",
    ),
    "sv": (
        "Din verifieringskod för {service} är {code}. Dela den inte med någon.",
        "{code} är din kod hos {service}. Koden gäller i {minutes} minuter.",
        "Ange koden {code} för att logga in på {service}. Vi ringer aldrig och frågar efter den.",
    ),
    "nl": (
        "Je {service}-verificatiecode is {code}. Deel deze met niemand.",
        "{code} is je beveiligingscode voor {service}, {minutes} minuten geldig.",
        "Gebruik code {code} om in te loggen bij {service}.",
    ),
    "el": (
        "Ο κωδικός επαλήθευσης {service} είναι {code}. Μην τον μοιραστείτε.",
        "{code}: ο κωδικός σας για το {service}. Λήγει σε {minutes} λεπτά.",
        "Χρησιμοποιήστε τον κωδικό {code} για να συνδεθείτε στο {service}.",
    ),
    "sw": (
        "Nambari yako ya kuthibitisha ya {service} ni {code}. Usimpe mtu yeyote.",
        "{code} ni nambari yako ya siri ya {service}. Itaisha baada ya dakika {minutes}.",
    ),
    "af": ("Jou {service}-verifikasiekode is {code}. Moenie dit met iemand deel nie.",),
    "zu": ("Ikhodi yakho ye-{service} ithi {code}. Ungayitsheli muntu.",),
    "ru": (
        "Ваш код подтверждения {service}: {code}. Никому его не сообщайте.",
        "{code} — код для входа в {service}. Действителен {minutes} минут.",
    ),
    "uk": ("Ваш код {service}: {code}. Нікому його не повідомляйте.",),
    "tr": ("{service} doğrulama kodunuz: {code}. Kimseyle paylaşmayın.",),
    "fr": ("Votre code de vérification {service} est {code}. Ne le partagez pas.",),
    "es": ("{code} es tu código de verificación de {service}. No lo compartas.",),
    "it": ("Il tuo codice {service} è {code}. Scade tra {minutes} minuti.",),
    "zh": (
        "【{service}】您的验证码是{code},{minutes}分钟内有效,请勿泄露给他人。",
        "验证码:{code}。您正在登录{service},如非本人操作请忽略。",
    ),
    "ja": ("{service}の認証コードは{code}です。{minutes}分以内に入力してください。",),
    "ko": ("[{service}] 인증번호 {code}를 입력해 주세요.",),
    "ar": (
        "رمز التحقق الخاص بك في {service} هو {code}. لا تشاركه مع أي شخص.",
        "{code} هو رمز {service} الخاص بك، صالح لمدة {minutes} دقائق.",
    ),
    "he": ("קוד האימות שלך ב-{service} הוא {code}. אין לשתף אותו.",),
    "hi": ("आपका {service} सत्यापन कोड {code} है। इसे किसी के साथ साझा न करें।",),
}

# What a service writes in its own fixed form, whatever the language.
OWN_WORDS: dict[str, tuple[tuple[str, str], ...]] = {
    "WhatsApp": (
        (
            "WhatsApp",
            (
                "Your WhatsApp code: {three}-{three2}\n\nYou can also tap on this link to verify your phone: "
                "v.whatsapp.com/{three}{three2}\n\nDon't share this code with others"
            ),
        ),
        (
            "WhatsApp",
            (
                "<#> Your WhatsApp Business account is being registered on a new device\n"
                "Don't share code with others\nYour code {three}-{three2}\nrJbA/XP1K+V"
            ),
        ),
    ),
    "Telegram": (
        (
            "Telegram",
            "Telegram code: {five}\n\nYou can also tap on this link to log in:\nhttps://t.me/login/{five}",
        ),
        ("Telegram", "Telegram code {five}"),
    ),
    "Google, Gmail, Youtube": (
        ("Google", "G-{six} is your Google verification code."),
        ("22000", "G-{six} ist dein Google-Bestätigungscode."),
    ),
    "Amazon": (
        ("Amazon", "{six} is your Amazon OTP. Do not share it with anyone."),
        ("AMAZON", "{six} ist Ihr Amazon-Einmalkennwort. Teilen Sie es nicht mit anderen Personen."),
    ),
    "PayPal": (("PayPal", "PayPal: {six} is your security code. It expires in 10 minutes. Don't share your code."),),
    "Discord": (("Discord", "Your Discord verification code is: {six}"),),
    "Tinder": (("Tinder", "Your Tinder code is {six} Don't share @tinder.com #{six}"),),
    "Instagram": (("Instagram", "{three} {three2} is your Instagram code. Don't share it."),),
    "Microsoft": (("Microsoft", "Use {four} as Microsoft account security code"),),
    "Klarna": (("Klarna", "Klarna: Dein Code lautet {six}. Gib ihn niemals weiter.\n\n@login.klarna.com #{six}"),),
    "Uber": (("Uber", "Your Uber code is {four}. Never share this code. Reply STOP ALL to unsubscribe."),),
    "Kleinanzeigen": (("Kleinanz.", "{six} ist dein Code, um deine Telefonnummer bei Kleinanzeigen zu bestätigen."),),
}

# No code in any of these.
NOTES: dict[str, tuple[str, ...]] = {
    "de": (
        "Ihr Paket kommt morgen zwischen 10:15 und 12:15 Uhr. Sendung 00340434161094021501.",
        "Willkommen im Ausland! Telefonieren, SMS und Surfen kosten wie zu Hause. Infos: 0800 330 1000.",
        "Guthaben {amount} EUR. Aufladen unter *100#.",
    ),
    "en": (
        "Your parcel will be delivered tomorrow between 14:10 and 15:10. Reply 2 to choose a neighbour.",
        "Hi {name}, are we still on for 18:30? Call me.",
        "Someone signed in to your account from a new device. If it was you, there is nothing to do.",
        "Your balance is {amount}. Top up before 30.11. to keep your number.",
    ),
    "pl": (
        "Paczka czeka w paczkomacie WAW123M przy ul. Prostej 20 do 18:00.",
        "Masz 1 nieodebrane połączenie.",
    ),
    "cs": (
        "Vaše zásilka bude doručena dnes mezi 13:00 a 14:00.",
        "Kredit {amount} Kč. Dobijte si v aplikaci.",
    ),
    "pt": ("A sua encomenda chega amanhã entre as 9h e as 13h.", "Saldo: {amount} EUR. Carregue até 30/11."),
    "lt": ("Jūsų siunta atvyko į paštomatą. Atsiimkite iki 20:00.", "Sąskaitos likutis {amount} Eur."),
    "sv": ("Ditt paket finns att hämta hos ICA Nära till och med fredag.", "Saldo: {amount} kr."),
    "nl": ("Je pakket wordt vandaag tussen 16:30 en 18:30 bezorgd.", "Beltegoed: {amount} euro."),
    "el": ("Το δέμα σας θα παραδοθεί αύριο μεταξύ 10:00 και 12:00.", "Υπόλοιπο: {amount} EUR."),
    "sw": ("Salio lako ni Ksh {amount}. Nunua bando kwa *544#.",),
    "ru": ("Ваша посылка прибыла в пункт выдачи. Хранение до пятницы.",),
    "zh": ("您的包裹已到达驿站,请在今天20点前领取。",),
    "ar": ("سيتم تسليم طردك غدا بين الساعة 10 و 12.",),
}

# Long messages arrive as two rows: the first part, then the rest (the code may stand in either).
TWO_PARTS: tuple[tuple[str, str, str], ...] = (
    (
        "en",
        (
            "Hello {name}, we noticed a new sign-in to your {service} account from Chrome on Windows. "
            "If this was you, finish signing in with (1/2)"
        ),
        "the code {code}. If it was not you, change your password now. (2/2)",
    ),
    (
        "de",
        (
            "Guten Tag, Ihr {service}-Konto wurde mit einem neuen Gerät verbunden. Ihr Freigabecode {code} "
            "ist {minutes} Minuten gültig. Falls Sie das nicht (1/2)"
        ),
        "veranlasst haben, melden Sie sich bitte bei uns. (2/2)",
    ),
    (
        "pl",
        (
            "Drogi kliencie, aby potwierdzić zmianę numeru telefonu w serwisie {service}, podaj "
            "konsultantowi lub wpisz na stronie (1/2)"
        ),
        "kod {code}. Kod jest ważny {minutes} minut. (2/2)",
    ),
    (
        "ru",
        ("Здравствуйте! Кто-то пытается войти в ваш аккаунт {service} с нового устройства. Если это вы, введите (1/2)"),
        "код {code}. Если это не вы, смените пароль. (2/2)",
    ),
)

# Which languages a number of the country hears, most likely first.
SPOKEN: dict[str, tuple[str, ...]] = {
    "CzechRepublic": ("cs", "cs", "en", "uk"),
    "Germany": ("de", "de", "de", "en", "tr", "ru"),
    "Lithuania": ("lt", "lt", "en", "ru"),
    "Netherlands": ("nl", "nl", "en", "ar"),
    "UnitedKingdom": ("en", "en", "pl", "hi"),
    "Poland": ("pl", "pl", "en", "uk"),
    "Portugal": ("pt", "pt", "en", "es"),
    "Sweden": ("sv", "sv", "en", "ar"),
    "Cyprus": ("el", "el", "en", "ru", "he"),
    "Kenya": ("sw", "en", "en"),
    "SouthAfrica": ("en", "en", "af", "zu"),
}

FIRST_NAMES = (
    "Anna",
    "Jonas",
    "Mia",
    "Piotr",
    "Zuzana",
    "Inês",
    "Lukas",
    "Elin",
    "Νίκος",
    "Amina",
    "Thabo",
    "Олег",
)
CARRIERS = (
    "Vodafone",
    "T-Mobile",
    "O2",
    "DHL",
    "InPost",
    "MyParcel",
    "Info",
    "+491771789427",
    "32665",
    "TWVerify",
)
