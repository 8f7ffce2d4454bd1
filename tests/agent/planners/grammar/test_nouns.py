"""Of what a picture may show: names of one, and names of many."""

import pytest

from agent.planners.grammar.interpretation import interpret_query
from agent.planners.grammar.nouns import is_plural, is_singular, to_plural, to_singular
from agent.planners.grammar.plan import Phrase

PAIRS = """
people person, bicycles bicycle, cars car, motorcycles motorcycle, airplanes airplane, buses bus, trains train, trucks
truck, boats boat, benches bench, birds bird, cats cat, dogs dog, horses horse, sheep sheep, cows cow, elephants
elephant, bears bear, zebras zebra, giraffes giraffe, backpacks backpack, umbrellas umbrella, handbags handbag, ties
tie, suitcases suitcase, frisbees frisbee, skis ski, snowboards snowboard, kites kite, gloves glove, skateboards
skateboard, surfboards surfboard, rackets racket, bottles bottle, cups cup, forks fork, knives knife, spoons spoon,
bowls bowl, bananas banana, apples apple, sandwiches sandwich, oranges orange, carrots carrot, pizzas pizza, donuts
donut, cakes cake, chairs chair, couches couch, plants plant, beds bed, tables table, toilets toilet, televisions
television, laptops laptop, mice mouse, remotes remote, keyboards keyboard, microwaves microwave, ovens oven, toasters
toaster, sinks sink, refrigerators refrigerator, books book, clocks clock, vases vase, toothbrushes toothbrush, driers
drier, horseshoes horseshoe, brownies brownie, neckties necktie, magpies magpie, budgies budgie, beanies beanie,
snowshoes snowshoe, canvases canvas, irises iris, fuses fuse, gases gas, brioches brioche, headaches headache, elves
elf, penknives penknife, werewolves werewolf, taxis taxi, kiwis kiwi, menus menu, workmen workman, cacti cactus,
cactuses cactus, houses house, noses nose, roses rose, purses purse, cookies cookie, pies pie, zombies zombie, movies
movie, cheeses cheese, blouses blouse, hoses hose, nurses nurse, tortoises tortoise, porpoises porpoise, walruses
walrus, octopuses octopus, octopi octopus, hippopotamuses hippopotamus, rhinoceroses rhinoceros, mongooses mongoose,
geese goose, moose moose, deer deer, fish fish, goldfish goldfish, crayfish crayfish, oxen ox, foxes fox, wolves wolf,
calves calf, foals foal, ponies pony, donkeys donkey, monkeys monkey, turkeys turkey, chimneys chimney, jerseys
jersey, trolleys trolley, keys key, butterflies butterfly, flies fly, ladybugs ladybug, canaries canary, collies
collie, huskies husky, puppies puppy, kitties kitty, bunnies bunny, berries berry, strawberries strawberry, cherries
cherry, lilies lily, daisies daisy, poppies poppy, peonies peony, batteries battery, trophies trophy, teddies teddy,
babies baby, ladies lady, cities city, parties party, candies candy, pastries pastry, patties patty, fries fry,
factories factory, ferries ferry, lorries lorry, buggies buggy, jellies jelly, dummies dummy, tomatoes tomato,
potatoes potato, mangoes mango, avocados avocado, pianos piano, photos photo, radios radio, videos video, tacos taco,
burritos burrito, flamingos flamingo, kangaroos kangaroo, zoos zoo, heroes hero, volcanoes volcano, mosquitoes
mosquito, dominoes domino, toes toe, shoes shoe, canoes canoe, oboes oboe, hoes hoe, backhoes backhoe, leaves leaf,
loaves loaf, shelves shelf, bookshelves bookshelf, scarves scarf, hooves hoof, thieves thief, wives wife, housewives
housewife, dwarves dwarf, jackknives jackknife, sleeves sleeve, olives olive, valves valve, stoves stove, waves wave,
caves cave, hives hive, beehives beehive, doves dove, curves curve, graves grave, men man, women woman, firemen
fireman, policemen policeman, snowmen snowman, children child, grandchildren grandchild, feet foot, teeth tooth,
salespeople salesperson, dormice dormouse, watches watch, peaches peach, beaches beach, coaches coach, cockroaches
cockroach, torches torch, churches church, ostriches ostrich, finches finch, branches branch, crutches crutch, matches
match, latches latch, pouches pouch, brooches brooch, moustaches moustache, quiches quiche, niches niche, avalanches
avalanche, dishes dish, brushes brush, bushes bush, radishes radish, paintbrushes paintbrush, wishes wish, galoshes
galosh, eyelashes eyelash, leashes leash, boxes box, mailboxes mailbox, taxes tax, sphinxes sphinx, prizes prize,
mazes maze, waltzes waltz, quizzes quiz, bookcases bookcase, staircases staircase, briefcases briefcase, bases base,
databases database, phases phase, dresses dress, mattresses mattress, compasses compass, crosses cross, albatrosses
albatross, hourglasses hourglass, wineglasses wineglass, actresses actress, waitresses waitress, princesses princess,
trusses truss, basses bass, mousses mousse, lenses lens, atlases atlas, viruses virus, circuses circus, campuses
campus, crocuses crocus, minibuses minibus, trellises trellis, mantises mantis, ibises ibis, thermoses thermos,
bruises bruise, cruises cruise, noises noise, exercises exercise, vises vise, valises valise, chaises chaise, bikinis
bikini, zucchinis zucchini, salamis salami, corgis corgi, saris sari, martinis martini, paninis panini, emojis emoji,
yetis yeti, jacuzzis jacuzzi, khakis khaki, chilis chili, okapis okapi, emus emu, gnus gnu, tutus tutu, haikus haiku,
caribous caribou, bureaus bureau, plateaus plateau, chateaux chateau, gurus guru, comics comic, mosaics mosaic,
fabrics fabric, mechanics mechanic, attics attic, picnics picnic, ceramics ceramic, medics medic, relics relic,
circles circle, squares square, triangles triangle, stars star, ellipses ellipse, spheres sphere, cubes cube, corpses
corpse, axles axle, scythes scythe, lathes lathe, tablecloths tablecloth, moths moth, wreaths wreath, paths path,
mouths mouth, spoonfuls spoonful, t-shirts t-shirt, walkie-talkies walkie-talkie, jack-o-lanterns jack-o-lantern,
ottomans ottoman, humans human, shamans shaman, specimens specimen, hoodies hoodie, selfies selfie, smoothies
smoothie, genies genie, pixies pixie, bowties bowtie, aircraft aircraft, spacecraft spacecraft, bison bison, jellyfish
jellyfish, starfish starfish, fungi fungus, larvae larva, antennae antenna, antennas antenna, dice die, lice louse,
axes axe, pancakes pancake, eggplants eggplant, lettuces lettuce, juices juice, fences fence, faces face, surfaces
surface, necklaces necklace, fireplaces fireplace, ice-creams ice-cream, bridges bridge, cages cage, badges badge,
sausages sausage, eyes eye, bees bee, trees tree, knees knee, coffees coffee, trapezes trapeze, sneezes sneeze,
hearses hearse, lanterns lantern, pyramids pyramid, cloths cloth, veggies veggie, species species, series series,
chassis chassis, oases oasis, clothespins clothespin
"""
"""Plural and singular."""
SINGULAR = dict(pair.split() for pair in PAIRS.replace("\n", " ").split(", "))

IN_SINGULAR = """
glass bus lens series species tennis cheese horse house nose rose vase purse iris gas canvas atlas grass dress cactus
octopus walrus circus virus rhinoceros thermos ramen pumice specimen human ottoman kiwi taxi police slice ice rice
fleece fungus moss chess compass debris trellis mantis ibis gymnastics electronics chassis christmas asparagus hummus
couscous mongoose wheat corn milk biceps news stairs platypus oasis axis basis hibiscus eucalyptus papyrus abacus
citrus esophagus santa-claus dais loris fleur-de-lis
"""
"""They stay as they are."""

PAIRS_OF_ONE = """
binoculars clothes glasses goggles jeans pants pliers scissors shorts sunglasses sweatpants trousers
"""
EITHER = ["series", "species", "chassis"]


def test_many_are_asked_for_by_the_name_of_one():
    assert {many: to_singular(many) for many in SINGULAR} == SINGULAR
    asked = {many: interpret_query(f"the {many}").plan for many in SINGULAR}
    assert asked == {many: Phrase(one) for many, one in SINGULAR.items()}


def test_the_number_of_a_noun_is_told():
    assert [many for many in SINGULAR if not is_plural(many)] == []
    assert [one for one in SINGULAR.values() if not is_singular(one)] == []
    alike = [many for many, one in SINGULAR.items() if many == one]
    assert [many for many in SINGULAR if is_singular(many)] == alike
    assert [one for one in SINGULAR.values() if is_plural(one)] == alike


def test_one_and_many_lead_to_each_other():
    assert {many: to_singular(to_plural(one)) for many, one in SINGULAR.items()} == SINGULAR
    assert [many for many in SINGULAR if to_plural(many) != many] == []


def test_what_only_sounds_like_a_plural_stays_as_it_is():
    assert [word for word in (IN_SINGULAR + PAIRS_OF_ONE).split() if to_singular(word) != word] == []
    assert [word for word in IN_SINGULAR.split() if is_plural(word)] == EITHER
    assert [word for word in PAIRS_OF_ONE.split() if is_singular(word)] == []


@pytest.mark.parametrize(
    ("one", "many"),
    [
        *(("bus", "buses"), ("canvas", "canvases"), ("iris", "irises"), ("taxi", "taxis"), ("brownie", "brownies")),
        *(("workman", "workmen"), ("human", "humans"), ("mongoose", "mongooses"), ("snowshoe", "snowshoes")),
        *(("quiz", "quizzes"), ("octopus", "octopuses"), ("penknife", "penknives"), ("series", "series")),
    ],
)
def test_sentences_say_the_usual_plural(one, many):
    assert to_plural(one) == many
