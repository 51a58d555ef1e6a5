"""What the simulated people of ``diaries`` tell and are asked about: facts, what is told of others, and small talk."""

from __future__ import annotations

from typing import NamedTuple

NAMES = (
    "Anna", "Ben", "Clara", "David", "Elena", "Farid", "Greta", "Hugo", "Irene", "Jonas", "Katya", "Liam", "Mona",
    "Nils", "Olga", "Pavel", "Rosa", "Sven", "Tessa", "Umar",
)  # fmt: skip


class Fact(NamedTuple):
    """One thing to know of a person: how it is told, told of somebody else (or None), and asked; its values."""

    key: str
    told: str
    other: str | None
    asked: str
    values: tuple[str, ...]


class World(NamedTuple):
    """What one language has: facts, small talk, how it is said that a fact has changed, and what ends a sentence."""

    facts: tuple[Fact, ...]
    talk: tuple[str, ...]
    now: str
    stop: str


_PETS = ("Miso", "Pluto", "Felix", "Luna", "Rex", "Bella", "Simba", "Coco", "Nala", "Biscuit", "Shadow", "Pepper",
         "Ziggy", "Olive", "Rusty", "Daisy", "Milo", "Ginger", "Smokey", "Willow")  # fmt: skip
_PEOPLE = ("Tom", "Eva", "Marta", "Igor", "Lucy", "Paul", "Nina", "Oscar", "Sara", "Leo", "Julia", "Max", "Ida",
           "Victor", "Emma", "Anton", "Carla", "Felipe", "Helen", "Robert")  # fmt: skip
_CITIES = ("Oslo", "Lisbon", "Krakow", "Dublin", "Vienna", "Turin", "Prague", "Athens", "Bergen", "Seville", "Lyon",
           "Riga", "Malmo", "Zurich", "Bruges", "Porto", "Tallinn", "Naples", "Leeds", "Bonn")  # fmt: skip
_COLOURS = ("blue", "green", "red", "yellow", "purple", "orange", "black", "white", "pink", "brown")
_FOODS = ("lasagna", "sushi", "curry", "pizza", "risotto", "tacos", "ramen", "falafel", "goulash", "paella")
_DRINKS = ("coffee", "cocoa", "lemonade", "cider", "mint tea", "ginger ale", "apple juice", "milk", "cola", "water")
_JOBS = ("nurse", "baker", "teacher", "plumber", "lawyer", "pilot", "florist", "editor", "carpenter", "chemist",
         "gardener", "dentist", "cook", "driver", "painter")  # fmt: skip
_TOOLS = ("piano", "violin", "guitar", "flute", "cello", "drums", "harp", "trumpet", "accordion", "clarinet")
_SPORTS = ("tennis", "hockey", "rowing", "judo", "football", "badminton", "climbing", "golf", "fencing", "volleyball")
_CARS = ("Volvo", "Fiat", "Skoda", "Honda", "Toyota", "Renault", "Mazda", "Ford", "Peugeot", "Audi")
_LANGUAGES = ("Spanish", "Japanese", "Arabic", "Polish", "Greek", "Korean", "Finnish", "Turkish", "Dutch", "Hindi")
_NUTS = ("peanuts", "shellfish", "pollen", "cats", "strawberries", "gluten", "eggs", "dust", "wasps", "soy")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_BOOKS = ("Dune", "Emma", "Dracula", "Ulysses", "Beloved", "Ivanhoe", "Walden", "Persuasion", "Solaris", "Middlemarch")
_FILMS = ("Alien", "Casablanca", "Vertigo", "Amadeus", "Gladiator", "Jaws", "Rocky", "Titanic", "Psycho", "Fargo")
_FLOWERS = ("tulips", "roses", "lilies", "daisies", "orchids", "peonies", "violets", "sunflowers", "irises", "poppies")
_GAMES = ("chess", "Monopoly", "Scrabble", "poker", "dominoes", "Catan", "backgammon", "Risk", "bridge", "checkers")
_SEASONS = ("spring", "summer", "autumn", "winter")
_SUBJECTS = ("history", "physics", "biology", "geography", "art", "chemistry", "music", "algebra", "Latin", "drama")
_DESSERTS = ("tiramisu", "cheesecake", "brownies", "pavlova", "baklava", "strudel", "sorbet", "waffles", "flan",
             "meringue")  # fmt: skip

FACTS = (
    Fact("cat", "My cat is called {}.", "My sister's cat is called {}.", "What is my cat called?", _PETS),
    Fact("dog", "My dog is called {}.", "My neighbour's dog is called {}.", "What is my dog called?", _PETS),
    Fact("brother", "My brother's name is {}.", "My friend's brother is {}.", "What is my brother's name?", _PEOPLE),
    Fact("sister", "My sister's name is {}.", "My boss has a sister, {}.", "What is my sister's name?", _PEOPLE),
    Fact("boss", "My boss at work is {}.", "My father's boss was {}.", "Who is my boss at work?", _PEOPLE),
    Fact("doctor", "My doctor is {}.", "My mother's doctor is {}.", "Who is my doctor?", _PEOPLE),
    Fact("home", "I live in {}.", "My parents live in {}.", "Which city do I live in?", _CITIES),
    Fact("born", "I was born in {}.", "My mother was born in {}.", "Which city was I born in?", _CITIES),
    Fact("holiday", "My next holiday will be in {}.", "My brother went on holiday to {}.",
         "Where will my next holiday be?", _CITIES),
    Fact("colour", "My favourite colour is {}.", "My mother's favourite colour is {}.",
         "What is my favourite colour?", _COLOURS),
    Fact("food", "My favourite food is {}.", "My son's favourite food is {}.", "What is my favourite food?", _FOODS),
    Fact("drink", "At breakfast I always drink {}.", "My husband drinks {} at night.",
         "What do I always drink at breakfast?", _DRINKS),
    Fact("job", "I work as a {}.", "My cousin works as a {}.", "What do I work as?", _JOBS),
    Fact("instrument", "I play the {}.", "My daughter plays the {}.", "Which instrument do I play?", _TOOLS),
    Fact("sport", "The sport I play is {}.", "My uncle's sport is {}.", "Which sport do I play?", _SPORTS),
    Fact("car", "I drive a {}.", "My aunt drives a {}.", "Which car do I drive?", _CARS),
    Fact("language", "I am learning {}.", "My neighbour speaks {}.", "Which language am I learning?", _LANGUAGES),
    Fact("allergy", "I am allergic to {}.", "My nephew is allergic to {}.", "What am I allergic to?", _NUTS),
    Fact("birthday", "My birthday is in {}.", "My grandmother's birthday is in {}.", "Which month is my birthday in?",
         _MONTHS),
    Fact("book", "My favourite book is {}.", "My teacher's favourite book is {}.", "What is my favourite book?",
         _BOOKS),
    Fact("film", "My favourite film is {}.", "My brother's favourite film is {}.", "What is my favourite film?",
         _FILMS),
    Fact("flower", "My favourite flowers are {}.", "My mother grows {}.", "What are my favourite flowers?", _FLOWERS),
    Fact("game", "My favourite game is {}.", "My sons like to play {}.", "What is my favourite game?", _GAMES),
    Fact("season", "My favourite season is {}.", "My wife loves {} most.", "What is my favourite season?", _SEASONS),
    Fact("subject", "My best subject at school was {}.", "My daughter's worst subject is {}.",
         "What was my best subject at school?", _SUBJECTS),
    Fact("dessert", "My favourite dessert is {}.", "My father never eats {}.", "What is my favourite dessert?",
         _DESSERTS),
)  # fmt: skip
"""What is told of somebody else shares most words with the fact: whoever is careless recalls the wrong one."""

TALK = (
    "The weather was awful today.", "I slept badly last night.", "The bus was late again.", "I went for a long walk.",
    "We had soup for lunch.", "The meeting took all morning.", "I watched the rain for an hour.",
    "I cleaned the whole kitchen.", "The shop was closed when I came.", "I lost my umbrella somewhere.",
    "The neighbours were loud again.", "I fixed the broken lamp.", "Somebody called and hung up.",
    "I read the newspaper until noon.", "The train was full of people.", "I forgot to buy bread.",
    "My head ached all afternoon.", "I wrote three letters today.", "We talked until midnight.",
    "The garden needs water badly.",
)  # fmt: skip

ENGLISH = World(FACTS, TALK, "{} now", ".")
