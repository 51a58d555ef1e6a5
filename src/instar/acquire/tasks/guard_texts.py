"""Short plain texts that no run trains on: what the perplexity of a policy is watched on.

They were written for this project and are under its license (Apache 2.0); no public corpus is in them. Each is what
many would write when asked for a few sentences on its subject, so that a small model finds it likely.
"""

from __future__ import annotations

from instar.records import Message, Role, Task

_TEXTS = """
rivers|A river begins high in the hills, where rain and melting snow run together. It grows wider as smaller streams
join it on its way down. At last it flows into a lake or into the sea.

bread|Bread is made from flour, water, salt and yeast. The dough is kneaded until it is smooth and left in a warm
place to rise. Then it is baked in a hot oven until the crust is brown.

cats|Cats sleep for most of the day and like to hunt in the evening. They keep their fur clean with their tongues. A
cat that is happy will often purr when you stroke it.

the moon|The moon moves around the Earth once in about a month. It gives no light of its own, but reflects the light
of the sun. This is why we see it full on some nights and as a thin crescent on others.

trains|A train runs on two steel rails and can carry many people at once. It stops at stations, where some
passengers get off and others get on. On long journeys people read, sleep or look out of the window.

gardens|In spring the gardener digs the soil and plants the seeds in rows. They need water and light to grow. By the
end of summer there are beans, carrots and tomatoes to pick.

winter|In winter the days are short and the nights are long. Many trees have lost their leaves, and some birds have
flown to warmer countries. When it snows, children build snowmen and slide down the hills.

schools|At school children learn to read, to write and to count. Between the lessons they play in the yard with
their friends. In the afternoon they go home and do their homework.

bees|Bees fly from flower to flower and collect nectar. In the hive they turn it into honey, which feeds them
through the winter. On their way they carry pollen, and so they help plants to make fruit.

the sea|The sea covers most of the surface of the Earth. Its water is salty and cannot be drunk. Fish, whales and
many smaller creatures live in it, some of them so deep that no light reaches them.

music|Music is made of sounds that follow one another in time. Some people sing, others play an instrument such as
the piano or the violin. A good song can make you feel happy or sad.

doctors|When somebody is ill, a doctor asks what hurts and listens to the heart. She may write down the name of a
medicine to take. Most people feel better after a few days of rest.

books|A book can tell a story or explain how something works. In a library there are thousands of them on long
shelves. You may borrow one, take it home and bring it back when you have read it.

birds|Most birds can fly because their bones are light and their wings are strong. They build nests from twigs and
grass and lay their eggs in them. The parents bring food until the young ones can leave the nest.

the weather|Clouds form when warm air rises and cools. When the drops in them become too heavy, it begins to rain.
After the storm the sun may come out, and sometimes there is a rainbow.

markets|Every Saturday there is a market in the square of the town. Farmers sell fruit, vegetables, eggs and cheese.
People stop to talk to their neighbors while they fill their bags.

houses|A house protects the people in it from cold and rain. It has walls, a roof, doors and windows. In the kitchen
the family cooks and eats, and in the evening they sit together in the living room.

trees|A tree takes water from the ground with its roots. Its leaves use the light of the sun to make sugar from
water and air. Some trees live for hundreds of years and grow very tall.

football|In a game of football two teams of eleven players try to get the ball into the goal. They may not touch it
with their hands, except for the goalkeeper. The team with more goals at the end wins.

letters|Before there were telephones, people wrote letters to friends who lived far away. They put the letter into
an envelope, wrote the address on it and added a stamp. After some days the postman brought the answer.

horses|Horses are strong and can run fast. For a long time people rode them and used them to pull carts and plows.
Today most horses are kept for sport or for pleasure.

sleep|While we sleep, the body rests and the brain sorts what happened during the day. Children need more sleep than
adults. Someone who has slept badly is often tired and cannot think clearly.

mountains|High in the mountains the air is thin and cold. Even in summer there may be snow on the tops. Climbers
start early in the morning so that they can be back before it gets dark.

computers|A computer follows instructions that people have written. It can add numbers, store pictures and send
messages around the world in less than a second. It does not get tired, but it does only what it was told.

breakfast|In the morning many people eat bread with butter and jam and drink a cup of coffee or tea. Others prefer
eggs, or cereal with milk. A good breakfast gives you energy for the day.

bridges|A bridge lets people cross a river or a road without getting wet or having to stop. Old bridges were made of
wood or stone. Today long ones hang from thick steel cables.

friends|A friend is someone you like to spend time with. Friends help each other when things are difficult and laugh
together when they go well. Sometimes they argue, but then they make up again.

the sun|The sun is a star, and it is so large that a million Earths would fit into it. Its light takes about eight
minutes to reach us. Without its warmth there would be no life on our planet.

clocks|A clock shows what time it is. The short hand points to the hour and the long hand to the minute. Before
there were clocks, people looked at the position of the sun in the sky.

farms|On a farm the work begins before sunrise. The cows have to be milked, and the chickens need food and water. In
autumn the farmer brings in the grain and stores it in the barn.
"""


def texts() -> list[Task]:
    """Every text (``private["text"]``), behind a prompt that asks for it: nobody answers that, the text is scored."""
    found = []
    for paragraph in _TEXTS.strip().split("\n\n"):
        subject, text = " ".join(paragraph.split()).split("|")
        asked = Message(role=Role.user, content=f"Write a few sentences about {subject}.")
        found.append(
            Task(messages=(asked,), ability="text", canonical=subject, source="guard_texts", private={"text": text})
        )
    return found
